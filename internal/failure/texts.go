package failure

// Texts that clients of the HTTP API match on. They are part of the wire
// format: change one and a client breaks. Source: the public HTTP API.
const (
	TextNoLeader            = "No cluster leader"
	TextNoServers           = "No known Consul servers"
	TextNoPath              = "No path to datacenter"
	TextNotReady            = "Not ready to serve consistent reads"
	TextMissingKey          = "Missing key name"
	TextMissingService      = "Missing service name"
	TextMissingNode         = "Missing node name"
	TextMissingSession      = "Missing session"
	TextInvalidIndex        = "Invalid index"
	TextInvalidWait         = "Invalid wait time"
	TextInvalidPath         = "Invalid URL path: not a recognized HTTP API endpoint"
	TextPermissionDenied    = "Permission denied"
	TextACLDisabled         = "ACL support disabled"
	TextCoordinatesDisabled = "Coordinate support disabled"
	TextACLNotFound         = "ACL not found"
	TextBlockedEndpoint     = "Endpoint is blocked by agent configuration"
	TextRestricted          = "Access is restricted"
	TextStaleConsistent     = "Cannot specify ?stale with ?consistent, conflicting semantics."
	TextCachedConsistent    = "Cannot specify ?cached with ?consistent, conflicting semantics."
)
