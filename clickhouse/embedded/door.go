package embedded

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A door stands in the child between the clients and the library's listener,
// which clients reach through it alone. The library ends the whole process on
// any exception that leaves a native connection's thread, where a real
// ClickHouse server logs it. Three things make one: a reset while the server
// waits for the client's next packet (clients do reset, killed in the middle of
// an answer or giving a query up), an end in the middle of the first packet,
// and a wrong password or database. So behind the door there are only orderly
// ends, and nobody who would not be welcome (greeting.go).
//
// It is in the child and not in revstream, so that a killed revstream is one
// more client that went away. Bytes are moved by splice(2), not copied through
// the process. A ready-made proxy would not do: those close both sides at the
// first error, and closing with unread bytes is what sends a reset.
type door struct {
	listener net.Listener
	inner    string // where the library listens
	// greet takes what a client has to say before it is let in, and returns it
	// for the engine to hear. After an error there is nothing left to do.
	greet func(*net.TCPConn) ([]byte, error)
}

// doorPatience is how long a door waits for its port. Its last owner may be
// the child of a killed revstream, which has left the folder but is not gone.
const doorPatience = 2 * time.Second

// openDoors opens both doors as soon as the library has written its own ports
// beside the file called ports, which then tells the parent those of the doors.
// It is called beside the library, in the child; an error is the end of the start.
func openDoors(native, http, ports string, shards bool) error {
	var innerNative, innerHTTP int
	for ok := false; !ok; time.Sleep(startPoll) {
		var err error
		if innerNative, innerHTTP, ok, err = readPorts(innerPortsFile(ports)); err != nil {
			return err
		}
	}
	nativeDoor, err := openDoor(native, innerNative)
	if err != nil {
		return err
	}
	httpDoor, err := openDoor(http, innerHTTP)
	if err != nil {
		return errors.Join(err, nativeDoor.listener.Close())
	}
	porter := porter{askAt: "http://" + httpDoor.inner, shards: shards}
	nativeDoor.greet = porter.greet
	go nativeDoor.serve()
	go httpDoor.serve()
	line := fmt.Sprintf("%d\t%d\n", nativeDoor.port(), httpDoor.port())
	if err := os.WriteFile(ports+".new", []byte(line), 0o600); err != nil {
		return fmt.Errorf("writing the engine's ports: %w", err)
	}
	if err := os.Rename(ports+".new", ports); err != nil {
		return fmt.Errorf("writing the engine's ports: %w", err)
	}
	return nil
}

func openDoor(addr string, innerPort int) (*door, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("the address to listen on: %w", err)
	}
	deadline := time.Now().Add(doorPatience)
	for {
		listener, err := net.Listen("tcp", addr) //nolint:noctx // as long as the process
		switch {
		case err == nil:
			return &door{listener: listener, inner: net.JoinHostPort(innerHost(host), strconv.Itoa(innerPort))}, nil
		case errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(deadline):
			time.Sleep(startPoll)
		case errors.Is(err, syscall.EADDRINUSE):
			return nil, fmt.Errorf("%s: %s", addr, portInUse)
		default:
			return nil, fmt.Errorf("listening on %s: %w", addr, err)
		}
	}
}

// innerHost is the loopback address of the family that the clients use.
func innerHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() && !ip.Is4In6() {
		return "::1"
	}
	return "127.0.0.1"
}

func (d *door) port() int { return d.listener.Addr().(*net.TCPAddr).Port }

// serve lets clients in until the process ends.
func (d *door) serve() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			// Out of descriptors, or reset before it was taken: the next may do.
			fmt.Fprintln(os.Stderr, "letting a client in:", err)
			time.Sleep(startPoll)
			continue
		}
		go d.pass(client.(*net.TCPConn))
	}
}

// pass carries one connection. What the client does wrong reaches the engine
// as the end of what it sent, and what the engine still says to a client that
// is gone is read to its end: a connection closed with bytes unread is reset.
func (d *door) pass(client *net.TCPConn) {
	var said []byte
	if d.greet != nil {
		var err error
		if said, err = d.greet(client); err != nil {
			_ = client.Close()
			return
		}
	}
	dialled, err := net.Dial("tcp", d.inner) //nolint:noctx // loopback
	if err != nil {
		fmt.Fprintln(os.Stderr, "letting a client in:", err)
		_ = client.Close()
		return
	}
	engine := dialled.(*net.TCPConn)
	var asking sync.WaitGroup
	asking.Go(func() {
		if _, err := engine.Write(said); err == nil {
			_, _ = io.Copy(engine, client)
		}
		_ = engine.CloseWrite()
	})
	if _, err := io.Copy(client, engine); err != nil {
		_ = client.CloseRead() // wakes the one who asks
		_, _ = io.Copy(io.Discard, engine)
	}
	// The engine has ended its side and waits for nothing more.
	_ = client.CloseWrite()
	_ = engine.Close()
	_ = client.SetReadDeadline(time.Now())
	asking.Wait()
	_ = client.Close()
}

// innerPortsFile is where the library writes the ports behind the doors.
func innerPortsFile(ports string) string {
	return filepath.Join(filepath.Dir(ports), "ports.inner.tsv")
}
