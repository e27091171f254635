package signal

import (
	"sync"
	"testing"
)

func TestReaderSeesTheNewestValue(t *testing.T) {
	var s Value[int]
	got, changed := s.Watch()
	if got != 0 {
		t.Fatalf("zero Value holds %d", got)
	}
	select {
	case <-changed:
		t.Fatal("woke before any change")
	default:
	}
	s.Set(1)
	s.Set(2)
	<-changed
	if got := s.Get(); got != 2 {
		t.Fatalf("got %d, want the newest, 2", got)
	}
	s.Update(func(n int) int { return n + 1 })
	if got, _ := s.Watch(); got != 3 {
		t.Fatalf("got %d after Update, want 3", got)
	}
}

func TestNoChangeIsMissed(t *testing.T) {
	var s Value[int]
	const last = 1000
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			seen := 0
			for {
				v, changed := s.Watch()
				if v < seen {
					t.Errorf("went back from %d to %d", seen, v)
					return
				}
				if seen = v; seen == last {
					return
				}
				<-changed
			}
		})
	}
	for i := 1; i <= last; i++ {
		s.Set(i)
	}
	wg.Wait()
}
