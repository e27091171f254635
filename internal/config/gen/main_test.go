package main

import (
	"bytes"
	"os"
	"testing"
)

func TestCommentsAreFresh(t *testing.T) {
	want, err := commentsSource(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../comments_gen.go")
	if err != nil || !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
		t.Errorf("comments_gen.go is stale (%v): run go generate ./internal/config", err)
	}
}
