package changesapi

import "github.com/ctl-sh/ctl/internal/rpc"

//go:generate go tool -modfile=../../../tools/go.mod msgp -file wire.go -o wire_gen.go -io=false -tests=false

// Request asks a server for a stream of topics.
type Request struct {
	// Topics are names; those in Have are followed from From on.
	Topics []string `msg:"t"`
	Have   []string `msg:"h"`
	From   string   `msg:"f"`
	Token  string   `msg:"k"`
}

// Chunk is a piece of a stream: whole lines.
type Chunk struct {
	Lines []byte `msg:"l"`
}

// Stream is the call that Serve answers.
var Stream = rpc.Stream[Request, Chunk]{Name: "changes.stream"}
