package source_test

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/tui/source"
)

func TestCommandLines(t *testing.T) {
	for _, c := range []struct {
		name   string
		action source.Action
		want   string
	}{
		{"maintenance with a reason of several words", source.MaintainNode{Node: "n1", Enable: true, Reason: "new disk"}, `ctl maint -enable -reason='new disk'`},
		{"out of maintenance no reason is given", source.MaintainNode{Node: "n1", Reason: "new disk"}, `ctl maint -disable`},
		{"maintenance of an instance", source.MaintainService{Node: "n1", ID: "web 1", Enable: true}, `ctl maint -enable -service='web 1'`},
		{"deregister at the agent", source.DeregisterService{Node: "n1", ID: "web", Local: true}, `ctl services deregister -id=web`},
		{"deregister from the catalog", source.DeregisterService{Node: "n1", ID: "web"}, `ctl services deregister -node=n1 -id=web`},
		{"what no command does is a request", source.DeregisterNode{Node: "it's"}, `curl -X PUT -d '{"Node":"it'\''s"}' "${CONSUL_HTTP_ADDR:-127.0.0.1:8500}/v1/catalog/deregister"`},
		{"a write is a check-and-set", source.PutKey{Key: "app/a", Value: []byte("x y"), Index: 7}, `ctl kv put -cas -modify-index=7 app/a 'x y'`},
		{"unless it is not", source.PutKey{Key: "app/a", Value: []byte("-5"), Flags: 3, Unconditional: true}, `ctl kv put -flags=3 app/a -5`},
		{"no value", source.PutKey{Key: "a", Unconditional: true}, `ctl kv put a`},
		{"a value that kv put would read as a file", source.PutKey{Key: "a", Value: []byte("@x"), Unconditional: true}, `ctl kv put -base64 a QHg=`},
		{"standard input", source.PutKey{Key: "a", Value: []byte("-"), Unconditional: true}, `ctl kv put -base64 a LQ==`},
		{"bytes", source.PutKey{Key: "a", Value: []byte{0, 1}, Unconditional: true}, `ctl kv put -base64 a AAE=`},
		{"a large value", source.PutKey{Key: "a", Value: make([]byte, 5000), Unconditional: true}, `ctl kv put a @FILE`},
		{"delete", source.DeleteKey{Key: "a b", Index: 9}, `ctl kv delete -cas -modify-index=9 'a b'`},
		{"delete below", source.DeleteTree{Prefix: "app/"}, `ctl kv delete -recurse app/`},
		{"force-leave", source.ForceLeave{Member: "n2", Prune: true}, `ctl force-leave -prune n2`},
		{"join", source.Join{Address: "10.0.0.1", WAN: true}, `ctl join -wan 10.0.0.1`},
		{"transfer to any", source.TransferLeader{}, `ctl operator raft transfer-leader`},
		{"transfer", source.TransferLeader{ID: "id-2", Name: "n2"}, `ctl operator raft transfer-leader -id=id-2`},
		{"remove a peer", source.RemovePeer{ID: "id-2"}, `ctl operator raft remove-peer -id=id-2`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.action.Command(); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}
