package logging

// Attribute keys, so that one thing has one name in every line.
const (
	// KeyComponent names who speaks, dotted: "agent.server.raft". It is not
	// printed as key=value but in front of the message.
	KeyComponent = "component"

	KeyAddress  = "address"
	KeyCheck    = "check"
	KeyDuration = "duration"
	KeyError    = "error"
	KeyFile     = "file"
	KeyIndex    = "index"
	KeyKey      = "key" // the name of a KV entry, never its value
	KeyLeader   = "leader"
	KeyMethod   = "method"
	KeyNode     = "node"
	KeyNodeID   = "node_id"
	KeyPart     = "part"
	KeyPath     = "path"
	KeyRemote   = "from"
	KeyServer   = "server"
	KeyService  = "service"
	KeySession  = "session"
	KeyStatus   = "status"
	KeyTerm     = "term"
)
