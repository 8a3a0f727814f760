package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

var errConnClosed = errors.New("the connection is closed")

const (
	// heldFramesMax is how many answers a connection may hold back; beyond,
	// the broker waits with it. Clients have a handful of requests in flight.
	heldFramesMax = 256
	// orphanGrace is how long a request is taken to be still at work when
	// its connection has gone before the answer.
	orphanGrace = 10 * time.Second
)

// syncedListener gives the broker connections whose answers wait for the
// group commit.
type syncedListener struct {
	net.Listener
	commits *groupCommit
	effects effects
}

// Accept implements net.Listener.
func (l *syncedListener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &syncedConn{
		Conn:    inner,
		commits: l.commits,
		reader:  requestReader{effects: l.effects},
		held:    make(chan heldFrame, heldFramesMax),
		closed:  make(chan struct{}),
	}
	go c.send()
	return c, nil
}

// syncedConn passes requests on as they come and remembers what each may do.
// The broker answers in the order of the requests, one Write for one whole
// frame; an answer that has to wait for a sync is put aside, with those after
// it, and the broker can go on with the next request. So clients that
// pipeline share a sync among their own requests, too.
type syncedConn struct {
	net.Conn
	commits *groupCommit
	reader  requestReader

	mu          sync.Mutex
	outstanding []request

	held      chan heldFrame
	holding   atomic.Int64 // frames in held or being sent
	closeOnce sync.Once
	closed    chan struct{}
}

type heldFrame struct {
	bytes []byte
	until ticket
}

// Read implements net.Conn.
func (c *syncedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if feedErr := c.reader.feed(p[:n], c.requestBegan); feedErr != nil {
		return 0, errors.Join(feedErr, c.Close())
	}
	return n, err
}

func (c *syncedConn) requestBegan(r request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outstanding = append(c.outstanding, r)
	if r.effect == changes {
		c.commits.writeBegan()
	}
}

// Write implements net.Conn. A nil error means that the frame was sent or
// will be; if it cannot be sent the connection is closed, so that its client
// learns nothing and asks again.
func (c *syncedConn) Write(frame []byte) (int, error) {
	if len(frame) < 8 || int(binary.BigEndian.Uint32(frame)) != len(frame)-4 {
		return 0, errors.Join(fmt.Errorf("the broker wrote %d bytes that are not one frame", len(frame)), c.Close())
	}
	until, err := c.answered(int32(binary.BigEndian.Uint32(frame[4:8])))
	if err != nil {
		return 0, errors.Join(err, c.Close())
	}
	if c.holding.Load() == 0 && c.commits.isFinished(until) {
		return c.Conn.Write(frame)
	}
	c.holding.Add(1)
	select {
	// A copy: the broker reuses its buffer when this returns.
	case c.held <- heldFrame{bytes: append([]byte(nil), frame...), until: until}:
		return len(frame), nil
	case <-c.closed:
		return 0, errConnClosed
	}
}

// answered finds the request of an answer and returns what the answer waits
// for. Requests before it that were skipped are those that get no answer
// (produce without acknowledgement).
func (c *syncedConn) answered(correlation int32) (ticket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.outstanding) > 0 {
		r := c.outstanding[0]
		c.outstanding = c.outstanding[1:]
		var until ticket
		switch r.effect {
		case changes:
			until = c.commits.writeEnded()
		case shows:
			until = c.commits.readTicket()
		}
		if r.correlation == correlation {
			return until, nil
		}
	}
	return 0, fmt.Errorf("the broker answered request %d, which nobody made", correlation)
}

// send writes held frames when their time has come.
func (c *syncedConn) send() {
	for {
		var frame heldFrame
		select {
		case frame = <-c.held:
		case <-c.closed:
			return
		}
		err := c.commits.wait(frame.until, c.closed)
		if err == nil {
			_, err = c.Conn.Write(frame.bytes)
		}
		if err != nil {
			// The client sees the end of the connection, which is all
			// there is to say: its request may or may not have happened.
			_ = c.Close()
			return
		}
		c.holding.Add(-1)
	}
}

// Close implements net.Conn; the broker calls it more than once.
func (c *syncedConn) Close() error {
	var err error
	c.closeOnce.Do(func() {
		close(c.closed)
		err = c.Conn.Close()
		c.release()
	})
	return err
}

// release ends the accounting of requests that will not be answered here. The
// broker may still be at work on them, so not at once.
func (c *syncedConn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.outstanding {
		if r.effect == changes {
			time.AfterFunc(orphanGrace, func() { c.commits.writeEnded() })
		}
	}
	c.outstanding = nil
}
