package config

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	"github.com/hashicorp/hcl/hcl/token"
)

// parseHCL reads one file of HCL 1. It reports false after it put a problem
// into out. The library panics on some malformed texts; that is a problem of
// the file like any other.
func parseHCL(source string, data []byte, out *findings) (v value, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			out.problem(Origin{Source: source, Line: 1, Col: 1}, "", "correct it; a file in JSON is named .json", "not valid HCL: %v", p)
			v, ok = value{}, false
		}
	}()
	file, err := parser.Parse(data)
	if err != nil {
		at := Origin{Source: source, Line: 1, Col: 1}
		if pos, ok := errors.AsType[*parser.PosError](err); ok {
			at.Line, at.Col, err = pos.Pos.Line, pos.Pos.Column, pos.Err
		}
		out.problem(at, "", "correct it; a file in JSON is named .json or read with -config-format json", "not valid HCL: %s", err.Error())
		return value{}, false
	}
	if at, cut := cutOff(data); cut {
		out.problem(Origin{Source: source, Line: at.Line, Col: at.Column}, "", "give the key a value, or restore the rest of the file", "not valid HCL: the file ends after =")
		return value{}, false
	}
	list, isList := file.Node.(*ast.ObjectList)
	if !isList {
		out.problem(Origin{Source: source, Line: 1, Col: 1}, "", "write key = value lines", "not valid HCL: no object")
		return value{}, false
	}
	r := hclReader{source: source}
	o, err := r.object(list, 0)
	if err != nil {
		out.problem(Origin{Source: source, Line: 1, Col: 1}, "", "correct it", "not valid HCL: %s", err.Error())
		return value{}, false
	}
	return value{at: Origin{Source: source, Line: 1, Col: 1}, data: o}, true
}

// cutOff returns where a file ends that ends in a key without a value. The parser
// leaves out such a key without a word.
func cutOff(data []byte) (token.Pos, bool) {
	s := scanner.New(data)
	for last := (token.Token{}); ; {
		switch t := s.Scan(); t.Type {
		case token.EOF, token.ILLEGAL:
			return last.Pos, last.Type == token.ASSIGN
		case token.COMMENT:
		default:
			last = t
		}
	}
}

type hclReader struct{ source string }

func (r hclReader) at(p token.Pos) Origin {
	return Origin{Source: r.source, Line: p.Line, Col: p.Column}
}

// object turns the items of a block into members. Blocks of one name become
// one list; anything else that is given twice stays twice and is found later.
func (r hclReader) object(list *ast.ObjectList, depth int) (object, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d levels deep", maxDepth)
	}
	o := object{}
	for _, item := range list.Items {
		if len(item.Keys) == 0 {
			return nil, fmt.Errorf("a value without a name on line %d", item.Pos().Line)
		}
		m, err := r.item(item, depth)
		if err != nil {
			return nil, err
		}
		isBlock := !item.Assign.IsValid()
		if i := o.block(m.key); isBlock && i >= 0 {
			v := &o[i].value
			v.data = append(v.data.([]value), m.value)
			v.keyAt = append(v.keyAt, m.keyAt)
			continue
		}
		if isBlock {
			m.value = value{at: m.value.at, data: []value{m.value}, blocks: true, keyAt: []Origin{m.keyAt}}
		}
		o = append(o, m)
	}
	return o, nil
}

// block returns the index of the list of blocks of that name, or -1.
func (o object) block(key string) int {
	for i, m := range o {
		if m.key == key && m.value.blocks {
			return i
		}
	}
	return -1
}

// item reads one item; the labels of a block are objects around it.
func (r hclReader) item(item *ast.ObjectItem, depth int) (member, error) {
	v, err := r.node(item.Val, depth+1)
	if err != nil {
		return member{}, err
	}
	for i := len(item.Keys) - 1; i > 0; i-- {
		k := item.Keys[i]
		at := r.at(k.Pos())
		v = value{at: at, data: object{{key: keyText(k), keyAt: at, value: v}}}
	}
	return member{key: keyText(item.Keys[0]), keyAt: r.at(item.Keys[0].Pos()), value: v}, nil
}

func keyText(k *ast.ObjectKey) string {
	s, ok := k.Token.Value().(string)
	if !ok {
		return k.Token.Text
	}
	return s
}

func (r hclReader) node(n ast.Node, depth int) (value, error) {
	v := value{at: r.at(n.Pos())}
	switch n := n.(type) {
	case *ast.ObjectType:
		o, err := r.object(n.List, depth)
		v.data = o
		return v, err
	case *ast.ListType:
		list := []value{}
		for _, e := range n.List {
			x, err := r.node(e, depth+1)
			if err != nil {
				return v, err
			}
			list = append(list, x)
		}
		v.data = list
		return v, nil
	case *ast.LiteralType:
		return r.literal(v, n)
	}
	return v, fmt.Errorf("unexpected %T on line %d", n, v.at.Line)
}

func (r hclReader) literal(v value, n *ast.LiteralType) (value, error) {
	switch n.Token.Type {
	case token.BOOL, token.STRING, token.HEREDOC:
		v.data = n.Token.Value()
	case token.NUMBER, token.FLOAT:
		v.data = number(fmt.Sprint(n.Token.Value()))
	default:
		return v, fmt.Errorf("unexpected %q on line %d", n.Token.Text, v.at.Line)
	}
	return v, nil
}
