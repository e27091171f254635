// Package rtt holds the command that tells the round-trip time between two
// nodes from their network coordinates.
//
// It measures nothing: agents estimate their coordinates all the time. Texts and
// exit codes follow Consul's command line.
package rtt

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// completionTime bounds how long a shell waits for the names of nodes.
const completionTime = 300 * time.Millisecond

type options struct {
	conn *cli.Conn
	out  *cli.Output
	wan  bool
}

// estimate is the answer.
type estimate struct {
	From, To     string
	Milliseconds float64
	// Coordinates is the pool they are from: LAN or WAN.
	Coordinates string
}

// NewCommand returns `ctl rtt`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "rtt [options] NODE [NODE]",
		Short: "Estimate the round-trip time between two nodes",
		Long: `Estimate the round-trip time between two nodes of the datacenter, or between one
node and the agent that is asked, from their network coordinates. Nothing is
sent to the nodes. With -wan the nodes are servers, of any datacenter, and their
names are NODE.DATACENTER.`,
		Example: `ctl rtt n1 n2
ctl rtt n1                  # from the agent that is asked
ctl rtt -wan n1.dc1 s1.dc2
ctl rtt -format json n1 n2`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) >= 2 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.names(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&o.wan, "wan", false, "between servers of all datacenters (WAN coordinates)")
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	return cmd
}

func (o *options) run(cmd *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return cli.Usagef(cmd, "One or two node names must be specified (got %d).", len(args))
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if len(args) == 1 {
		own, err := o.own(client)
		if err != nil {
			return err
		}
		args = append(slices.Clone(args), own)
	}
	places, err := o.places(cmd.Context(), client)
	if err != nil {
		return err
	}
	e := estimate{From: args[0], To: args[1], Coordinates: "LAN"}
	if o.wan {
		e.Coordinates = "WAN"
	}
	if e.Milliseconds, err = o.between(places, e.From, e.To); err != nil {
		return err
	}
	return cli.ShowDocument(o.out, view, e, []estimate{e}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "Estimated %s <-> %s rtt: %s ms (using %s coordinates)\n", e.From, e.To, e.text(), e.Coordinates)
		return err
	})
}

// text returns the time as it is shown, to the microsecond.
func (e estimate) text() string { return strconv.FormatFloat(e.Milliseconds, 'f', 3, 64) }

var view = cli.View[estimate]{
	Columns: []cli.Column[estimate]{
		{Name: "From", Value: func(e estimate) string { return e.From }},
		{Name: "To", Value: func(e estimate) string { return e.To }},
		{Name: "Milliseconds", Value: estimate.text},
		{Name: "Coordinates", Value: func(e estimate) string { return e.Coordinates }},
	},
}

// own returns the name of the agent that is asked, as it stands among the
// coordinates.
func (o *options) own(client *api.Client) (string, error) {
	self, err := client.Agent().Self()
	if err != nil {
		return "", cli.Failf("Error asking the agent for its name: %w", err)
	}
	name, _ := self["Config"]["NodeName"].(string)
	dc, _ := self["Config"]["Datacenter"].(string)
	if o.wan {
		name += "." + dc
	}
	return name, nil
}

// place is where a node is, in one segment.
type place struct {
	name, segment string
	coord         *api.CoordinateEntry
}

// places returns all coordinates, under names as they are typed.
func (o *options) places(ctx context.Context, client *api.Client) ([]place, error) {
	var list []place
	if !o.wan {
		entries, _, err := client.Coordinate().Nodes(o.conn.Query(ctx))
		if err != nil {
			return nil, cli.Failf("Error getting coordinates: %w", err)
		}
		for _, e := range entries {
			list = append(list, place{e.Node, e.Segment, e})
		}
		return list, nil
	}
	dcs, err := client.Coordinate().Datacenters()
	if err != nil {
		return nil, cli.Failf("Error getting coordinates: %w", err)
	}
	for _, dc := range dcs {
		for i := range dc.Coordinates {
			e := &dc.Coordinates[i]
			list = append(list, place{e.Node + "." + dc.Datacenter, dc.AreaID, e})
		}
	}
	return list, nil
}

// between returns the milliseconds between two nodes, by coordinates of the
// segment that both are in.
func (o *options) between(places []place, from, to string) (float64, error) {
	for _, name := range []string{from, to} {
		if !slices.ContainsFunc(places, func(p place) bool { return strings.EqualFold(p.name, name) }) {
			return 0, o.missing(name)
		}
	}
	far := math.Inf(1)
	for _, a := range places {
		for _, b := range places {
			if !strings.EqualFold(a.name, from) || !strings.EqualFold(b.name, to) || a.segment != b.segment {
				continue
			}
			if a.coord.Coord == nil || b.coord.Coord == nil || !a.coord.Coord.IsCompatibleWith(b.coord.Coord) {
				continue
			}
			far = min(far, float64(a.coord.Coord.DistanceTo(b.coord.Coord))/float64(time.Millisecond))
		}
	}
	if math.IsInf(far, 1) {
		return 0, cli.Failf("The coordinates of %q and %q cannot be compared: they are of different network segments", from, to)
	}
	return far, nil
}

func (o *options) missing(name string) error {
	if o.wan && !strings.Contains(name, ".") {
		return cli.Failf("Could not find a coordinate for node %q: with -wan, names are NODE.DATACENTER", name)
	}
	return cli.Failf("Could not find a coordinate for node %q", name)
}

// names returns the nodes that have a coordinate, without those given already.
// A shell shows nothing where it takes too long or fails.
func (o *options) names(ctx context.Context, given []string) []string {
	client, err := o.conn.Client()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	found := make(chan []string, 1)
	go func() { // ends with its request at the latest; the program ends sooner
		places, err := o.places(ctx, client)
		if err != nil {
			places = nil
		}
		var names []string
		for _, p := range places {
			if !slices.Contains(given, p.name) && !slices.Contains(names, p.name) {
				names = append(names, p.name)
			}
		}
		slices.Sort(names)
		found <- names
	}()
	select {
	case names := <-found:
		return names
	case <-ctx.Done():
		return nil
	}
}
