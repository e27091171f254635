package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Live is a sort of names that only the agent knows.
type Live string

// What can be completed live.
const (
	LiveKeys        Live = "keys" // one level at a time
	LiveServices    Live = "services"
	LiveInstances   Live = "instances" // ids of the agent's own services
	LiveNodes       Live = "nodes"
	LiveMembers     Live = "members"
	LiveDatacenters Live = "datacenters"
)

const (
	// liveTime bounds asking the agent: a shell that waits feels broken.
	liveTime = 300 * time.Millisecond
	// freshTime is how long an answer is used without asking again, and
	// staleTime how long where the agent does not answer in time.
	freshTime = 5 * time.Second
	staleTime = 10 * time.Minute
)

// Complete returns a completion with names the agent knows, for the first n
// arguments; a negative n is for all, and for values of flags. It asks at most
// for 300 ms, and offers what it knew last where that is not enough; it never
// runs a token command, which may ask a person.
func (c *Conn) Complete(what Live, n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n >= 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		names := slices.DeleteFunc(c.live(cmd.Context(), what, typed), func(s string) bool { return !strings.HasPrefix(s, typed) })
		for _, s := range names {
			if what == LiveKeys && strings.HasSuffix(s, "/") {
				directive |= cobra.ShellCompDirectiveNoSpace // the next level follows
			}
		}
		return names, directive
	}
}

// CompleteFlag is Complete for the value of a flag of cmd.
func (c *Conn) CompleteFlag(cmd *cobra.Command, flag string, what Live) {
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(flag, c.Complete(what, -1))
}

// remembered is an answer kept for the next completion.
type remembered struct {
	At    time.Time
	Names []string
}

func (c *Conn) live(ctx context.Context, what Live, typed string) []string {
	c.quiet = true
	if _, err := c.Client(); err != nil {
		return nil
	}
	path, query := "/v1/agent/services", url.Values{}
	switch what {
	case LiveKeys:
		path, query = "/v1/kv/"+typed[:strings.LastIndex(typed, "/")+1], url.Values{"keys": {""}, "separator": {"/"}}
	case LiveServices:
		path = "/v1/catalog/services"
	case LiveNodes:
		path = "/v1/catalog/nodes"
	case LiveMembers:
		path = "/v1/agent/members"
	case LiveDatacenters:
		path = "/v1/catalog/datacenters"
	default: // instances are asked for by other means
	}
	file := c.liveFile(path)
	known, ok := recall(file)
	if ok && time.Since(known.At) < freshTime {
		return known.Names
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.f.CompletionTime, liveTime))
	defer cancel()
	names, err := c.askNames(ctx, path, query)
	switch {
	case err == nil:
		remember(file, names)
		return names
	case ok && time.Since(known.At) < staleTime:
		return known.Names
	default:
		return nil
	}
}

// askNames asks for path, whose answer is a list of names, a list of objects
// with a name, or an object whose fields are the names.
func (c *Conn) askNames(ctx context.Context, path string, query url.Values) ([]string, error) {
	resp, err := c.Get(ctx, path, query)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
		return nil, err
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) == nil {
		return slices.Sorted(maps.Keys(fields)), nil
	}
	var objects []struct{ Name, Node string }
	err = json.Unmarshal(raw, &objects)
	names := make([]string, 0, len(objects))
	for _, o := range objects {
		names = append(names, o.Name+o.Node) // a member has the one, a node the other
	}
	slices.Sort(names)
	return names, err
}

// liveFile is where the answer to path is kept; empty for nowhere. Who asks
// with another token or another agent has another file.
func (c *Conn) liveFile(path string) string {
	dir, ok := c.f.LookupEnv("XDG_CACHE_HOME")
	if !ok || !filepath.IsAbs(dir) {
		home, ok := c.f.LookupEnv("HOME")
		if !ok || !filepath.IsAbs(home) {
			return ""
		}
		dir = filepath.Join(home, ".cache")
	}
	transport := c.http.Transport.(*roundTripper)
	sum := sha256.Sum256([]byte(strings.Join(append(c.agents.all(), transport.token, c.options.Datacenter, path), "\x00")))
	return filepath.Join(dir, "ctl", "completion", hex.EncodeToString(sum[:16])+".json")
}

func recall(file string) (r remembered, ok bool) {
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &r) != nil {
		return remembered{}, false
	}
	return r, !r.At.After(time.Now())
}

// remember keeps names. Failing only costs the next completion its time.
func remember(file string, names []string) {
	if file == "" || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return
	}
	data, err := json.Marshal(remembered{time.Now(), names})
	if err == nil {
		_ = os.WriteFile(file, data, 0o600)
	}
}
