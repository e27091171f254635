package source

import (
	"encoding/json"
	"strings"
)

// jsonFrame is a line of the stream.
type jsonFrame struct {
	Type, Topic, Key, Position, Reason, Kind, Text string
	Index                                          uint64
	Row                                            json.RawMessage
}

// decodeFrame decodes a line.
func decodeFrame(line []byte) (f jsonFrame, err error) {
	if f, ok := scanFrame(line); ok {
		return f, nil
	}
	f = jsonFrame{}
	err = json.Unmarshal(line, &f)
	return f, err
}

// decodeRow returns the row of a frame, nil for one that is not understood:
// that of a newer agent.
func decodeRow(topic, key string, b []byte) any {
	kind, _, _ := strings.Cut(topic, ":")
	if kind == "services" {
		if row, ok := scanSummary(b); ok {
			return row.service()
		}
	}
	var row any
	switch {
	case kind == "members":
		row = new(jsonMember)
	case kind == "raft":
		row = new(jsonRaft)
	case kind == "services":
		row = new(jsonSummary)
	case kind == "nodes":
		row = new(jsonNodeSummary)
	case kind == "checks", kind == "node" && strings.HasPrefix(key, "check/"):
		row = new(jsonCheck)
	case kind == "service":
		row = new(jsonInstance)
	case kind == "node" && strings.HasPrefix(key, "service/"):
		row = new(jsonService)
	case kind == "node":
		row = new(jsonNode)
	case kind == "level":
		row = new(Child)
	case kind == "key":
		row = new(jsonEntry)
	default:
		return nil
	}
	if json.Unmarshal(b, row) != nil {
		return nil
	}
	switch j := row.(type) {
	case *jsonMember:
		return j.member()
	case *jsonSummary:
		return j.service()
	case *jsonNodeSummary:
		return j.summary()
	case *jsonInstance:
		return j.instance()
	case *jsonCheck:
		if kind == "checks" {
			return j.check()
		}
	}
	return row
}

type jsonSummary struct {
	Name, Kind                            string
	Tags                                  []string
	Instances, Passing, Warning, Critical int
}

func (j *jsonSummary) service() *Service {
	return &Service{
		Name: j.Name, Kind: j.Kind, Tags: j.Tags, Instances: j.Instances, Counted: true,
		Passing: j.Passing, Warning: j.Warning, Critical: j.Critical,
	}
}

type jsonNodeSummary struct {
	jsonNode
	Services, Passing, Warning, Critical int
	Maintenance                          bool
	MaintenanceReason                    string
}

func (j *jsonNodeSummary) summary() *Node {
	n := j.jsonNode.node()
	n.Services, n.Passing, n.Warning, n.Critical, n.Counted = j.Services, j.Passing, j.Warning, j.Critical, true
	n.Maintenance, n.MaintenanceReason = j.Maintenance, j.MaintenanceReason
	return n
}
