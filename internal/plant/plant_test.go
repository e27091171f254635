package plant

import "testing"

func TestNamesAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, name := range Names() {
		if name == "" || seen[name] {
			t.Errorf("fault name %q is empty or used twice", name)
		}
		seen[name] = true
	}
}

func TestNothingIsPlantedUnasked(t *testing.T) {
	t.Parallel()
	for _, name := range append(Names(), "") {
		if !Enabled && On(name) {
			t.Errorf("On(%q) in a build without the tag", name)
		}
	}
}
