package loadgen

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// conn is one kept-alive HTTP/1.1 connection. It understands what a ctl agent
// sends (Content-Length and chunked bodies), allocates nothing in the steady
// state, and is for one goroutine.
type conn struct {
	nc    net.Conn
	r     *bufio.Reader
	body  []byte
	index uint64 // X-Consul-Index of the last answer
	close bool   // the server said it will close
}

func dial(address string, buffer int) (*conn, error) { return dialOver(nil, address, buffer) }

// dialOver connects over TLS where there is a configuration for it.
func dialOver(secure *tls.Config, address string, buffer int) (*conn, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if secure != nil {
		nc, err := tls.DialWithDialer(dialer, "tcp", address, secure)
		if err != nil {
			return nil, err
		}
		return &conn{nc: nc, r: bufio.NewReaderSize(nc, buffer)}, nil
	}
	nc, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{nc: nc, r: bufio.NewReaderSize(nc, buffer)}, nil
}

// do sends a request and reads the answer. body is valid until the next call.
func (c *conn) do(request []byte) (status int, body []byte, err error) {
	if _, err := c.nc.Write(request); err != nil {
		return 0, nil, err
	}
	return c.answer()
}

func (c *conn) answer() (status int, body []byte, err error) {
	line, err := c.line()
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, nil, fmt.Errorf("status line %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, fmt.Errorf("status line %q", line)
	}
	length, chunked, err := c.headers()
	if err != nil {
		return 0, nil, err
	}
	c.body = c.body[:0]
	switch {
	case chunked:
		err = c.chunks()
	case length > 0:
		err = c.more(length)
	case length < 0 && status != 204 && status != 304:
		return 0, nil, errors.New("answer has neither a length nor chunks")
	}
	return status, c.body, err
}

func (c *conn) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// headers reads up to the empty line; length is -1 when the answer names none.
func (c *conn) headers() (length int, chunked bool, err error) {
	length = -1
	for {
		line, err := c.line()
		if err != nil {
			return 0, false, err
		}
		if len(line) == 0 {
			return length, chunked, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return 0, false, fmt.Errorf("header %q", line)
			}
		case is(name, "transfer-encoding"):
			chunked = is(value, "chunked")
		case is(name, "connection"):
			c.close = is(value, "close")
		case is(name, "x-consul-index"):
			c.index, _ = strconv.ParseUint(string(value), 10, 64) // 0 shows
		}
	}
}

func is(b []byte, lower string) bool {
	return len(b) == len(lower) && bytes.EqualFold(b, []byte(lower))
}

func (c *conn) more(n int) error {
	at := len(c.body)
	for cap(c.body) < at+n {
		c.body = append(c.body[:cap(c.body)], 0)
	}
	c.body = c.body[:at+n]
	_, err := io.ReadFull(c.r, c.body[at:])
	return err
}

func (c *conn) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(size), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %q", line)
		}
		if n > 0 {
			if err := c.more(int(n)); err != nil {
				return err
			}
		}
		if line, err = c.line(); err != nil {
			return err
		}
		if len(line) != 0 {
			return fmt.Errorf("chunk ends with %q", line)
		}
		if n == 0 {
			return nil
		}
	}
}
