package codec

//go:generate go tool -modfile=../../tools/go.mod msgp -unexported -file sample_test.go -o sample_gen_test.go -io=false -tests=false

// sample stands for the rows and commands that are encoded in earnest.
type sample struct {
	Key   string            `msg:"k"`
	Value []byte            `msg:"v"`
	Index uint64            `msg:"i"`
	Tags  []string          `msg:"t"`
	Meta  map[string]string `msg:"m"`
	Kids  []sample          `msg:"c"`
}

// newer is sample as a later version might have it.
type newer struct {
	Key   string   `msg:"k"`
	Added []sample `msg:"added"`
}
