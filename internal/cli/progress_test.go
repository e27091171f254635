package cli_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/spf13/cobra"
)

// working is a command that does what do says, with w to show.
func working(w cli.Work, do func(*cli.Factory, *cli.Bar)) func(*cli.Factory) *cobra.Command {
	return func(f *cli.Factory) *cobra.Command {
		var progress *cli.Progress
		cmd := &cobra.Command{Use: "work", RunE: func(*cobra.Command, []string) error {
			bar := progress.Start(w)
			defer bar.End()
			do(f, bar)
			return nil
		}}
		progress = f.Progress(cmd)
		return cmd
	}
}

// steady adds so much every second.
func steady(seconds int, items, bytes int64) func(*cli.Factory, *cli.Bar) {
	return func(_ *cli.Factory, b *cli.Bar) {
		for range seconds {
			<-time.After(time.Second) // of the bubble
			b.Add(items, bytes)
		}
		<-time.After(time.Second / 2)
	}
}

// lastDrawn returns what was on the line last before it was taken away.
func lastDrawn(errOut string) string {
	lines := slices.DeleteFunc(strings.Split(errOut, "\r\x1b[K"), func(s string) bool { return s == "" })
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		name    string
		work    cli.Work
		seconds int
		items   int64
		bytes   int64
		columns string
		want    string
	}{
		{"items of a known number", cli.Work{What: "Importing", Unit: "keys", Items: 10_000}, 5, 1000, 0, "120",
			"Importing [##########----------]  50%  5,000 of 10,000 keys, 925/s, 5s left"},
		{"without the bar where the screen is narrow", cli.Work{What: "Importing", Unit: "keys", Items: 10_000}, 5, 1000, 0, "60",
			"Importing 50%, 5,000 of 10,000 keys, 925/s, 5s left"},
		{"the rate is that of the last ten seconds", cli.Work{What: "Importing", Unit: "keys", Items: 100_000}, 40, 1000, 1 << 20, "120",
			"Importing [########------------]  40%  40,000 of 100,000 keys, 40.0 MiB, 1,000/s, 1m0s left"},
		{"how many nobody knows", cli.Work{What: "Reading", Unit: "keys"}, 2, 500, 2048, "120",
			"Reading: 1,000 keys, 4.0 KiB, 416/s, 2s"},
		{"bytes only", cli.Work{What: "Packing", Bytes: 4 << 30}, 2, 0, 1 << 30, "120",
			"Packing [##########----------]  50%  2.0 GiB of 4.0 GiB, 853.3 MiB/s, 2s left"},
		{"a time", cli.Work{What: "Capturing", Time: 8 * time.Second}, 2, 0, 0, "120", "Capturing [######--------------]  30%  6s left"},
		{"nothing but time", cli.Work{What: "Deleting"}, 2, 0, 0, "120", "Deleting: 2s"},
		{"more than there was to be", cli.Work{What: "Importing", Unit: "keys", Items: 10}, 2, 10, 0, "120",
			"Importing [####################] 100%  20 of 10 keys, 8/s, 0s left"},
		{"over at once", cli.Work{What: "Importing", Unit: "keys", Items: 10}, 0, 0, 0, "120", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				build := working(c.work, steady(c.seconds, c.items, c.bytes))
				got := clitest.Do(t, build, clitest.Run{Args: []string{"work"}, Terminal: true, Env: map[string]string{"COLUMNS": c.columns}})
				if got.Out != "" || got.Code != 0 {
					t.Errorf("exit code %d, output %q", got.Code, got.Out)
				}
				if last := lastDrawn(got.Err); last != c.want {
					t.Errorf("got  %q\nwant %q", last, c.want)
				}
				if c.want != "" && !strings.HasSuffix(got.Err, "\r\x1b[K") {
					t.Errorf("the line was not taken away: %q", got.Err)
				}
			})
		})
	}
}

func TestWhereThereIsNoBar(t *testing.T) {
	work := cli.Work{What: "Reading", Unit: "keys"}
	listed := cli.Work{What: "Reading", Unit: "keys", Listed: true}
	for _, c := range []struct {
		name string
		work cli.Work
		run  clitest.Run
	}{
		{"no terminal", work, clitest.Run{Args: []string{"work"}}},
		{"switched off", work, clitest.Run{Args: []string{"work", "-progress", "none"}, Terminal: true}},
		{"a dumb terminal", work, clitest.Run{Args: []string{"work"}, Terminal: true, Env: map[string]string{"TERM": "dumb"}}},
		{"results that are seen", listed, clitest.Run{Args: []string{"work"}, Terminal: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := clitest.Do(t, working(c.work, steady(5, 1, 1)), c.run); got != (clitest.Result{}) {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

func TestProgressAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		build := working(cli.Work{What: "Importing", Unit: "keys", Items: 8, Listed: true}, steady(2, 2, 100))
		got := clitest.Do(t, build, clitest.Run{Args: []string{"work", "-progress=json"}})
		var lines []map[string]map[string]any
		for line := range strings.Lines(got.Err) {
			var l map[string]map[string]any
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			lines = append(lines, l)
		}
		if len(lines) != 3 || got.Out != "" {
			t.Fatalf("%+v", got)
		}
		last := lines[2]["Progress"]
		for field, want := range map[string]any{"What": "Importing", "Unit": "keys", "Items": 4.0, "TotalItems": 8.0, "Bytes": 200.0,
			"Percent": 50.0, "ElapsedSeconds": 2.5, "ItemsPerSecond": 1.6, "BytesPerSecond": 80.0, "Ended": true} {
			if last[field] != want {
				t.Errorf("%s is %v, want %v", field, last[field], want)
			}
		}
		if lines[0]["Progress"]["Ended"] != false || last["SecondsLeft"] != nil {
			t.Errorf("first %v, last %v", lines[0], last)
		}
	})
}

// TestBarAndResults checks that results on the same terminal go above the bar.
func TestBarAndResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *cli.Factory
		build := working(cli.Work{What: "Importing"}, func(factory *cli.Factory, b *cli.Bar) {
			f = factory
			time.Sleep(time.Second)
			if _, err := f.Streams.Out.Write([]byte("Imported: a\n")); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		})
		got := clitest.Do(t, build, clitest.Run{Args: []string{"work"}, Terminal: true})
		// The result is in the other buffer; that the line made way is in this one.
		if !regexp.MustCompile(`1s\r\x1b\[K\r\x1b\[K.*2s`).MatchString(got.Err) || got.Out != "Imported: a\n" {
			t.Errorf("%+v", got)
		}
	})
}

func TestWrongProgress(t *testing.T) {
	got := clitest.Do(t, working(cli.Work{}, steady(0, 0, 0)), clitest.Run{Args: []string{"work", "-progress", "bars"}})
	if got.Code != 1 || !strings.HasPrefix(got.Err, `invalid argument "bars" for "--progress" flag: must be one of: auto, json, none`) {
		t.Errorf("%+v", got)
	}
}
