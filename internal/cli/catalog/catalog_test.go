package catalog

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

type answers = map[string]clitest.Answer

func TestDatacenters(t *testing.T) {
	url := "GET /v1/catalog/datacenters"
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "one a line", Args: "catalog datacenters", Answers: answers{url: {Body: `["dc1","dc2"]`}}, Out: "dc1\ndc2\n"},
		{Name: "JSON", Args: "catalog datacenters -o json", Answers: answers{url: {Body: `["dc1"]`}}, Out: "[\n    \"dc1\"\n]\n"},
		{
			Name: "refused", Args: "catalog datacenters", Code: 1, Answers: answers{url: {Status: 500, Body: "boom"}},
			Err: "Error listing datacenters: Unexpected response code: 500 (boom)\n",
		},
		{Name: "argument", Args: "catalog datacenters x", Code: 1, Err: "Too many arguments (expected 0, got 1)\n"},
	})
}

func TestNodes(t *testing.T) {
	const two = `[
{"ID":"8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a","Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","TaggedAddresses":{"wan":"10.0.0.1","lan":"10.0.0.1"},"Meta":{"rack":"r1"},"CreateIndex":1,"ModifyIndex":2},
{"ID":"","Node":"external","Address":"db","Datacenter":"dc1","TaggedAddresses":null,"Meta":null,"CreateIndex":1,"ModifyIndex":2}]`
	const instances = `[
{"ID":"8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a","Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","ServiceID":"web1"},
{"ID":"8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a","Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","ServiceID":"web2"}]`
	url := "GET /v1/catalog/nodes"
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "short ids", Args: "catalog nodes", Answers: answers{url: {Body: two}},
			Out: "Node      ID        Address   DC\nn1        8b1d9a3e  10.0.0.1  dc1\nexternal            db        dc1\n",
		},
		{
			Name: "detailed", Args: "catalog nodes -detailed", Answers: answers{url: {Body: two}},
			Out: "Node      ID                                    Address   DC   TaggedAddresses             Meta\n" +
				"n1        8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a  10.0.0.1  dc1  lan=10.0.0.1, wan=10.0.0.1  rack=r1\n" +
				"external                                        db        dc1\n",
		},
		{
			Name: "none", Args: "catalog nodes", Answers: answers{url: {Body: `[]`}},
			Out: "No nodes match the given query - try expanding your search.\n",
		},
		{Name: "none, JSON", Args: "catalog nodes -format=json", Answers: answers{url: {Body: `null`}}, Out: "[]\n"},
		{
			Name: "selection", Args: "catalog nodes -near _agent -node-meta rack=r1 -node-meta a=b=c -filter x -datacenter dc2 -format json",
			Answers: answers{url + "?dc=dc2&filter=x&near=_agent&node-meta=rack%3Ar1&node-meta=a%3Ab%3Dc": {Body: `[]`},
				url + "?dc=dc2&filter=x&near=_agent&node-meta=a%3Ab%3Dc&node-meta=rack%3Ar1": {Body: `[]`}},
			Out: "[]\n",
		},
		{
			Name: "by service, each node once", Args: "catalog nodes -service web", Answers: answers{"GET /v1/catalog/service/web": {Body: instances}},
			Out: "Node  ID        Address   DC\nn1    8b1d9a3e  10.0.0.1  dc1\n",
		},
		{Name: "metadata that is no pair", Args: "catalog nodes -node-meta rack", Code: 1, Err: "Error! -node-meta \"rack\" is not KEY=VALUE\n"},
		{
			Name: "refused", Args: "catalog nodes", Code: 1, Answers: answers{url: {Status: 500, Body: "boom"}},
			Err: "Error listing nodes: Unexpected response code: 500 (boom)\n",
		},
	})
}
