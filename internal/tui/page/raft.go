package page

import (
	"cmp"
	"strconv"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// raft shows the servers of the Raft configuration and what the cluster can
// stand.
type raft struct {
	list[source.Peer]
	cluster *source.Cluster
}

func newRaft() *raft {
	p := &raft{}
	p.about = content{"servers", "No server is known to Raft: the cluster has not been bootstrapped (bootstrap_expect).", "operator:read"}
	p.bad = func(x *source.Peer) bool { return !well(x) }
	p.of = func(s *source.State) source.Status { return s.Cluster.Status }
	p.pairs, p.room = clusterPairs, 10
	p.table = ui.NewTable(func(x *source.Peer) string { return x.ID },
		ui.Column[source.Peer]{Title: "Server", Cell: func(x *source.Peer) ui.Cell { return ui.Cell{Text: cmp.Or(x.Name, x.ID)} }},
		ui.Column[source.Peer]{Title: "Role", Cell: func(x *source.Peer) ui.Cell { return role(x) }},
		ui.Column[source.Peer]{Title: "Health", Cell: peerHealth},
		ui.Column[source.Peer]{Title: "If it goes", Cell: func(x *source.Peer) ui.Cell { return ifGone(p.cluster, x) }},
		ui.Column[source.Peer]{Title: "Contact", Drop: 3, Right: true, Cell: func(x *source.Peer) ui.Cell { return known(x, took(x.LastContact)) },
			Compare: func(a, b *source.Peer) int { return cmp.Compare(a.LastContact, b.LastContact) }},
		ui.Column[source.Peer]{Title: "Behind", Drop: 2, Right: true, Cell: func(x *source.Peer) ui.Cell { return known(x, strconv.FormatUint(x.Gap, 10)) },
			Compare: func(a, b *source.Peer) int { return cmp.Compare(a.Gap, b.Gap) }},
		ui.Column[source.Peer]{Title: "Index", Drop: 4, Right: true, Cell: func(x *source.Peer) ui.Cell { return known(x, number(x.Match).Text) }},
		ui.Column[source.Peer]{Title: "Term", Drop: 6, Right: true, Cell: func(x *source.Peer) ui.Cell { return known(x, number(x.LastTerm).Text) }},
		ui.Column[source.Peer]{Title: "Stable since", Drop: 7, Cell: func(x *source.Peer) ui.Cell { return known(x, clock(x.StableSince)) }},
		ui.Column[source.Peer]{Title: "Address", Drop: 5, Max: 48, Cell: func(x *source.Peer) ui.Cell { return ui.Cell{Text: x.Address} }},
		ui.Column[source.Peer]{Title: "Version", Drop: 8, Cell: func(x *source.Peer) ui.Cell { return ui.Cell{Text: x.Version} }},
		ui.Column[source.Peer]{Title: "ID", Drop: 9, Wide: true, Cell: func(x *source.Peer) ui.Cell { return ui.Cell{Text: x.ID} }},
	)
	return p
}

func role(x *source.Peer) ui.Cell {
	switch {
	case x.Leader:
		return ui.Cell{Text: "leader", Level: ui.Info, Glyph: true}
	case x.Voter:
		return ui.Cell{Text: "voter"}
	}
	return ui.Cell{Text: "non-voter", Level: ui.Faint}
}

// well reports whether a server counts as one that votes now: autopilot's word
// where there is one, gossip's where not.
func well(x *source.Peer) bool {
	if x.Known {
		return x.Healthy
	}
	return x.Serf == "alive" || x.Serf == "" || x.Leader
}

func peerHealth(x *source.Peer) ui.Cell {
	switch {
	case x.Serf == "failed" || x.Serf == "left":
		return state(x.Serf)
	case !x.Known && x.Serf != "":
		return state(x.Serf)
	case !x.Known:
		return state("")
	case x.Healthy:
		return ui.Cell{Text: "healthy", Level: ui.Passing, Glyph: true}
	}
	return ui.Cell{Text: "unhealthy", Level: ui.Critical, Glyph: true}
}

func known(x *source.Peer, s string) ui.Cell {
	if !x.Known {
		return ui.Cell{Text: "-", Level: ui.Faint}
	}
	return ui.Cell{Text: s}
}

// ifGone says what losing a server means: whether the voters that are left and
// well are still a majority.
func ifGone(c *source.Cluster, x *source.Peer) ui.Cell {
	if !x.Voter {
		return ui.Cell{Text: "no vote is lost", Level: ui.Faint}
	}
	good := 0
	for _, v := range c.Peers {
		if v.Voter && v.ID != x.ID && well(v) {
			good++
		}
	}
	switch {
	case good >= c.Quorum && x.Leader:
		return ui.Cell{Text: "a new leader", Level: ui.Passing, Glyph: true}
	case good >= c.Quorum:
		return ui.Cell{Text: "quorum stays", Level: ui.Passing, Glyph: true}
	}
	return ui.Cell{Text: "quorum is lost", Level: ui.Critical, Glyph: true}
}

// canLose is the cluster's quorum in a sentence.
func canLose(c *source.Cluster) note {
	switch {
	case c.Voters == 0:
		return note{ui.Unknown, "not known"}
	case c.CanLose < 0:
		return note{ui.Critical, "quorum is lost, " + itoa(-c.CanLose) + " more needed"}
	case c.CanLose == 0:
		return note{ui.Warning, "can lose none"}
	}
	return note{ui.Passing, "can lose " + itoa(c.CanLose) + " more"}
}

func (p *raft) Path() string                       { return "raft" }
func (p *raft) Title() string                      { return "Raft" }
func (p *raft) Command() string                    { return "ctl operator raft list-peers" }
func (p *raft) Interest() source.Interest          { return source.Interest{Sections: source.SectionPeers} }
func (p *raft) Versions(s *source.State) [4]uint64 { return [4]uint64{s.Cluster.Version} }
func (p *raft) Data(env *Env) any                  { return &env.State.Cluster }
func (p *raft) Update(env *Env) {
	p.cluster = &env.State.Cluster
	p.table.Set(env.State.Cluster.Peers)
}

// clusterPairs are the figures of Raft.
func clusterPairs(env *Env) []string {
	c := &env.State.Cluster
	health := "unknown"
	if c.Judged && c.Healthy {
		health = "healthy"
	} else if c.Judged {
		health = "unhealthy"
	}
	return []string{"leader", cmp.Or(c.LeaderName, c.LeaderAddr, "none"), leads(c), since(env.Now, c.LeaderSince), "term", number(c.Term).Text,
		"voters", itoa(c.Voters), "quorum", itoa(c.Quorum) + ", " + canLose(c).text, "autopilot", health,
		"applied", number(c.Applied).Text, "committed", number(c.Commit).Text, "last log", number(c.LastLog).Text,
		"snapshot", number(c.Snapshot).Text, "elections seen", itoa(c.Elections)}
}

func (p *raft) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Transfer, Word: "transfer leadership"}, {Action: ui.Delete, Word: "remove"}, {Action: ui.Open, Word: "node"},
		{Action: ui.Wide, Word: "wide"}, {Action: ui.CopyCtl, Word: "command"}}
}

func (p *raft) Do(env *Env, a ui.Action) Effect {
	return p.on(env, a, func(x *source.Peer) Effect {
		switch a {
		case ui.Open:
			return Effect{Go: newNode(cmp.Or(x.Name, x.ID))}
		case ui.CopyValue:
			return Effect{Copy: x.ID, What: "id of the server"}
		case ui.CopyCtl:
			return Effect{Copy: p.Command(), What: "command"}
		case ui.Transfer:
			return transfer(env, x)
		case ui.Delete:
			return removePeer(env, x)
		default: // the others are not for here
		}
		return Effect{}
	})
}

// transfer hands leadership over; the name of the server must be typed.
func transfer(env *Env, x *source.Peer) Effect {
	switch {
	case env.ReadOnly != "":
		return refused(env.ReadOnly)
	case x.Leader:
		return say(ui.Info, cmp.Or(x.Name, x.ID)+" leads already; choose the server that should.")
	case !x.Voter:
		return say(ui.Warning, cmp.Or(x.Name, x.ID)+" has no vote, so it cannot lead.")
	}
	return typed(env, "Transfer leadership", x, []string{"writes wait for a moment until the new leader is in office"},
		source.TransferLeader{ID: x.ID, Name: x.Name})
}

// removePeer takes a server out of Raft; its name must be typed.
func removePeer(env *Env, x *source.Peer) Effect {
	if env.ReadOnly != "" {
		return refused(env.ReadOnly)
	}
	blast := []string{ifGone(&env.State.Cluster, x).Text + "; the server must be started anew, with empty data, to come back"}
	if x.Serf == "alive" {
		blast = append(blast, "its agent is alive; have it leave instead: ctl leave")
	}
	return typed(env, "Remove server from Raft", x, blast, source.RemovePeer{ID: x.ID, Name: x.Name})
}

func typed(env *Env, verb string, x *source.Peer, blast []string, act source.Action) Effect {
	e := confirm(env, verb, []string{cmp.Or(x.Name, x.ID) + " (" + x.Address + ")"}, blast, act)
	if c, ok := e.Ask.(*ui.Confirm); ok && c.Require == "" {
		c.Require = cmp.Or(x.Name, x.ID)
	}
	return e
}
