package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func request(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "http METHOD URL [BODY]")
	body := ""
	if len(args) > 2 {
		body = args[2]
	}
	if file, ok := strings.CutPrefix(body, "@"); ok {
		body = ts.ReadFile(file)
	}
	status, header, text, err := send(args[0], args[1], body)
	ts.Check(err)
	_, err = io.WriteString(ts.Stdout(), printed(status, header, text))
	ts.Check(err)
}

// printed is an answer as scripts see it.
func printed(status int, header http.Header, body string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d\n", status)
	_ = header.Write(&out) // a Builder takes everything
	fmt.Fprintf(&out, "\n%s\n", body)
	return out.String()
}

func send(method, url, body string) (int, http.Header, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(text), err
}

// sendBytes speaks to a port below HTTP, for requests no client would send.
func sendBytes(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "send ADDRESS FILE")
	conn, err := net.DialTimeout("tcp", args[0], patience)
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, strings.ReplaceAll(strings.TrimSuffix(ts.ReadFile(args[1]), "\n"), "\n", "\r\n"))
	ts.Check(err)
	ts.Check(conn.(*net.TCPConn).CloseWrite())
	_, err = io.Copy(ts.Stdout(), conn)
	ts.Check(err)
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "capture NAME REGEXP")
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := want.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("stdout has no %q, or it has no group:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}
