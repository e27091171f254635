package agent

import "testing"

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		name string
		live uint64
		want int
	}{
		{"before the first collection", 0, 200},
		{"idle", 8 << 20, 200},
		{"small", 16 << 20, 150},
		{"100,000 keys", 68 << 20, 35},
		{"large", 4 << 30, 35},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := gcPercent(c.live); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
