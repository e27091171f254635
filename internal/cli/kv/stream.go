package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
)

// stream asks for all keys that begin with prefix and hands them to each as
// they arrive, one at a time, so that any number of keys needs the memory of
// one. No keys is no error. What each returns ends the stream and is returned.
// bar is told what came.
func stream(ctx context.Context, conn *cli.Conn, prefix string, bar *cli.Bar, each func(*api.KVPair) error) error {
	resp, err := conn.Get(ctx, "/v1/kv/"+prefix, url.Values{"recurse": {""}})
	if err != nil {
		if cli.IsNotFound(err) {
			return nil
		}
		return cli.Failf("Error querying Consul agent: %w", err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(&counted{resp.Body, bar})
	switch first, err := dec.Token(); {
	case err != nil:
		return cli.Failf("Error querying Consul agent: read keys: %w", err)
	case first == nil: // null
		return nil
	case first != json.Delim('['):
		return cli.Failf("Error querying Consul agent: the answer is no list of keys")
	}
	n := 0
	for ; dec.More(); n++ {
		var pair api.KVPair
		if err := dec.Decode(&pair); err != nil {
			return broken(n, err)
		}
		bar.Add(1, 0)
		if err := each(&pair); err != nil {
			return err
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return broken(n+1, ctx.Err())
		}
	}
	if _, err := dec.Token(); err != nil {
		return broken(n, err)
	}
	return nil
}

// counted tells a bar what is read.
type counted struct {
	r   io.Reader
	bar *cli.Bar
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.bar.Add(0, int64(n))
	return n, err
}

func broken(n int, err error) error {
	return fmt.Errorf("Error querying Consul agent: the answer breaks off after %d keys: %w", n, err) //nolint:staticcheck // as Consul begins
}
