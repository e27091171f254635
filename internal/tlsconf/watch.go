package tlsconf

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long files must have been left alone before they are read:
	// a certificate and its key are replaced one after the other.
	settle = 500 * time.Millisecond
	// lookEvery is how often files are read without a sign of change, for file
	// systems that give none.
	lookEvery = time.Minute
	// remindEvery is how often it is said that a certificate is close to its
	// end.
	remindEvery = 24 * time.Hour
	// warnAhead is how long before its end a certificate counts as close to it,
	// if it lives long enough: never more than a third of its life.
	warnAhead = 30 * 24 * time.Hour
)

// Run follows the files until ctx ends: changed ones are put in force, and ones
// that cannot be used are spoken of once and leave what was. It also warns of
// certificates close to their end. It returns nil.
func (s *Store) Run(ctx context.Context, ready func()) error {
	events, errs, watch, stop := s.watcher()
	defer stop()
	watch(s.directories())
	s.remind()
	ready()
	look, remind := time.NewTicker(lookEvery), time.NewTicker(remindEvery)
	defer look.Stop()
	defer remind.Stop()
	settled := time.NewTimer(0)
	if !settled.Stop() {
		<-settled.C
	}
	defer settled.Stop()
	for {
		select {
		case <-events:
			settled.Reset(settle)
		case err := <-errs:
			s.log.Warn("certificate files cannot be watched; they are read every "+lookEvery.String(), "error", err)
		case <-settled.C:
			s.look()
		case <-look.C:
			s.look()
		case <-s.woke:
			watch(s.directories())
		case <-remind.C:
			s.remind()
		case <-ctx.Done():
			return nil
		}
	}
}

// watcher returns what tells of changes in directories, watch to choose them, and
// stop. Where nothing can be watched it says so and tells nothing.
func (s *Store) watcher() (<-chan fsnotify.Event, <-chan error, func([]string), func()) {
	if len(s.paths()) == 0 {
		return nil, nil, func([]string) {}, func() {}
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("certificate files cannot be watched; they are read every "+lookEvery.String(), "error", err)
		return nil, nil, func([]string) {}, func() {}
	}
	watch := func(dirs []string) {
		for _, dir := range w.WatchList() {
			if !slices.Contains(dirs, dir) {
				_ = w.Remove(dir) // it may be gone itself
			}
		}
		for _, dir := range dirs {
			if err := w.Add(dir); err != nil {
				s.log.Warn("certificate files cannot be watched; they are read every "+lookEvery.String(), "dir", dir, "error", err)
			}
		}
	}
	return w.Events, w.Errors, watch, func() { _ = w.Close() }
}

// paths are the files and directories the settings name.
func (s *Store) paths() []string {
	st := s.now.Load()
	var all []string
	for _, set := range []Settings{st.rpc, st.https} {
		for _, p := range []string{set.CAFile, set.CAPath, set.CertFile, set.KeyFile} {
			if p != "" && !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// directories are those in which something happens when one of the files is
// replaced: its own, and those of every symbolic link on the way to it, because
// some systems replace a link that leads to a directory of files.
func (s *Store) directories() []string {
	var dirs []string
	add := func(dir string) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, p := range s.paths() {
		path, err := filepath.Abs(p)
		if err != nil {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			add(path)
		}
		for range 16 { // a ring of links must end, too
			add(filepath.Dir(path))
			target, err := os.Readlink(path)
			if err != nil {
				break
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(path), target)
			}
			path = target
		}
		if real, err := filepath.EvalSymlinks(p); err == nil {
			add(filepath.Dir(real))
		}
	}
	return dirs
}

// look reads the files and puts them in force if they can be used.
func (s *Store) look() {
	st := s.now.Load()
	fresh, err := s.read(st, st.rpc, st.https)
	if err != nil {
		s.mu.Lock()
		news := s.last == nil || s.last.Error() != err.Error()
		s.last = err
		s.mu.Unlock()
		if news {
			s.log.Error("changed certificate files cannot be used; the old certificates stay in force", "error", err)
		}
		return
	}
	s.mu.Lock()
	mended := s.last != nil
	s.mu.Unlock()
	if mended && !fresh.differs(st) {
		s.log.Info("the certificate files can be used again; they are those in force")
	}
	if mended || fresh.differs(st) {
		s.commit(fresh)
	}
}

// remind warns of certificates close to their end.
func (s *Store) remind() {
	now := s.cfg.Now()
	st := s.now.Load()
	for _, m := range s.certificates() {
		if m.cert == st.automatic {
			continue // it is renewed, and who renews it tells of trouble
		}
		leaf := m.cert.Leaf
		ahead := min(warnAhead, leaf.NotAfter.Sub(leaf.NotBefore)/3)
		switch left := leaf.NotAfter.Sub(now); {
		case left <= 0:
			s.log.Error("the agent's certificate has expired: others refuse it; replace the file", "file", m.source, "expired", day(leaf.NotAfter))
		case left < ahead:
			s.log.Warn("the agent's certificate expires soon: replace the file, the agent notices", "file", m.source, "until", day(leaf.NotAfter), "left", left.Round(time.Minute))
		}
	}
}
