package main

import (
	"io"
	"net"
	"time"
)

// lingerMax bounds how long a connection is listened to after its end.
const lingerMax = 2 * time.Second

// lingeringListener accepts connections whose last answer arrives. Closing one
// while the caller still sends (a body or headers that are too large) has the
// kernel reset it, and the answer that says why is lost.
type lingeringListener struct{ net.Listener }

// Accept waits for the next connection.
func (l lingeringListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, isTCP := conn.(*net.TCPConn); isTCP {
		return lingeringConn{tcp}, err
	}
	return conn, err
}

type lingeringConn struct{ *net.TCPConn }

// Close ends our side at once, and the connection when the caller has ended theirs
// or lingerMax is over. What comes meanwhile is thrown away.
func (c lingeringConn) Close() error {
	if err := c.CloseWrite(); err != nil {
		return c.TCPConn.Close() // nobody is there any more
	}
	go func() {
		if err := c.SetReadDeadline(time.Now().Add(lingerMax)); err == nil {
			_, _ = io.Copy(io.Discard, c.TCPConn)
		}
		_ = c.TCPConn.Close()
	}()
	return nil
}
