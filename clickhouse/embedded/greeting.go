package embedded

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// shardsWelcome tells the child that its engine is a shard of a cluster.
	shardsWelcome = "shards"
	// shardUser is how another shard names itself in its first packet; it shows
	// the cluster's secret with each query (ClickHouse, Protocol.h).
	shardUser = " INTERSERVER SECRET "

	// helloPatience is how long a client may take for its first packet, and the
	// engine to say whether it is welcome.
	helloPatience = 10 * time.Second
	// helloBytesMax bounds that packet: three names, three numbers, a password.
	helloBytesMax = 64 << 10
)

// A porter judges clients of the native protocol by their first packet. It
// asks the engine itself, through HTTP, where a wrong password does no harm,
// so that there is one truth about users, networks and databases.
type porter struct {
	askAt  string // the engine's HTTP interface, behind the door
	shards bool   // whether other shards are let in
}

// hello is a client's first packet.
type hello struct{ database, user, password string }

// greet reads the first packet and returns it if its sender is welcome. If
// not, it has told the client so, and returns an error.
func (p porter) greet(client *net.TCPConn) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helloPatience)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_ = client.SetReadDeadline(deadline)
	var said bytes.Buffer
	hello, err := readHello(io.TeeReader(client, &said))
	if errors.Is(err, errNoHello) {
		_, _ = io.WriteString(client, wrongProtocol)
	}
	if err != nil {
		return nil, err
	}
	_ = client.SetReadDeadline(time.Time{})
	if p.shards && hello.user == shardUser {
		return said.Bytes(), nil
	}
	refusal := ownSession(hello.user)
	if refusal == nil {
		refusal, err = p.ask(ctx, hello)
	}
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		_, err := client.Write(refusal.packet())
		return nil, errors.Join(errUnwelcome, err)
	}
	return said.Bytes(), nil
}

var (
	errUnwelcome = errors.New("the engine knows no such user, password or database")
	errNoHello   = errors.New("the first packet is not one of the native protocol")
	errHello     = errors.New("the first packet is too long")
)

// wrongProtocol answers whoever took this port for the other one.
const wrongProtocol = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"This port speaks the native protocol of ClickHouse. HTTP has a port of its own.\r\n"

// readHello reads packet type 0, the client's name, its version (major, minor,
// protocol), database, user and password. It may read on behind the packet.
func readHello(client io.Reader) (hello, error) {
	in := bufio.NewReaderSize(client, 4<<10)
	first, err := in.ReadByte()
	if err != nil {
		return hello{}, fmt.Errorf("reading the first packet: %w", err)
	}
	if first != 0 {
		return hello{}, errNoHello
	}
	var (
		name string
		h    hello
	)
	for _, field := range []*string{&name, nil, nil, nil, &h.database, &h.user, &h.password} {
		value, err := binary.ReadUvarint(in)
		if err != nil {
			return hello{}, fmt.Errorf("reading the first packet: %w", err)
		}
		if field == nil {
			continue // a part of the version
		}
		if value > helloBytesMax {
			return hello{}, errHello
		}
		text := make([]byte, value)
		if _, err := io.ReadFull(in, text); err != nil {
			return hello{}, fmt.Errorf("reading the first packet: %w", err)
		}
		*field = string(text)
	}
	return h, nil
}

// refusal is what the engine said to a client it does not let in.
type refusal struct {
	code    int32
	message string
}

// ownSession refuses the user under which the library runs its start query:
// it has no password.
func ownSession(user string) *refusal {
	if user != "" && user != "default" {
		return nil
	}
	const authenticationFailed = 516
	return &refusal{code: authenticationFailed, message: "Authentication failed: a name and a password are needed"}
}

// ask returns nil for one who is welcome.
func (p porter) ask(ctx context.Context, h hello) (*refusal, error) {
	query := url.Values{"query": {"SELECT 1"}}
	if h.database != "" {
		query.Set("database", h.database)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.askAt+"/?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking whether a client is welcome: %w", err)
	}
	// A colon would end the name; no user of ours has one.
	request.SetBasicAuth(strings.ReplaceAll(h.user, ":", "?"), h.password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking whether a client is welcome: %w", err)
	}
	defer response.Body.Close()
	message, err := io.ReadAll(io.LimitReader(response.Body, helloBytesMax))
	if err != nil {
		return nil, fmt.Errorf("asking whether a client is welcome: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return nil, nil
	}
	code, err := strconv.ParseInt(response.Header.Get("X-ClickHouse-Exception-Code"), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("asking whether a client is welcome: %s", response.Status)
	}
	return &refusal{code: int32(code), message: strings.TrimSpace(string(message))}, nil
}

// packet is an Exception of the native protocol: packet type 2, code, name,
// message, stack trace, and that no other is nested in it.
func (r refusal) packet() []byte {
	packet := []byte{2}
	packet = binary.LittleEndian.AppendUint32(packet, uint32(r.code))
	for _, text := range []string{"DB::Exception", r.message, ""} {
		packet = binary.AppendUvarint(packet, uint64(len(text)))
		packet = append(packet, text...)
	}
	return append(packet, 0)
}
