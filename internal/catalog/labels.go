package catalog

import (
	"maps"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// Labels are metadata or tagged addresses: names and what they mean. They
// travel in the order of their names, so that the same labels are the same
// bytes on every server.
type Labels map[string]string

// MarshalMsg implements msgp.Marshaler.
func (l Labels) MarshalMsg(b []byte) ([]byte, error) {
	b = msgp.AppendMapHeader(b, uint32(len(l)))
	for _, k := range slices.Sorted(maps.Keys(l)) {
		b = msgp.AppendString(b, k)
		b = msgp.AppendString(b, l[k])
	}
	return b, nil
}

// UnmarshalMsg implements msgp.Unmarshaler.
func (l *Labels) UnmarshalMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return b, err
	}
	*l = nil
	for range n {
		var k, v string
		if k, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
		if v, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
		if *l == nil {
			*l = Labels{}
		}
		(*l)[k] = v
	}
	return b, nil
}

// Msgsize implements msgp.Sizer.
func (l Labels) Msgsize() int {
	size := msgp.MapHeaderSize
	for k, v := range l {
		size += 2*msgp.StringPrefixSize + len(k) + len(v)
	}
	return size
}

// Address is where an instance is reached by a name for the way there.
type Address struct {
	Address string
	Port    int
}

// Addresses are the tagged addresses of an instance. Like Labels they travel in
// the order of their names.
type Addresses map[string]Address

// MarshalMsg implements msgp.Marshaler.
func (a Addresses) MarshalMsg(b []byte) ([]byte, error) {
	b = msgp.AppendMapHeader(b, uint32(len(a)))
	for _, k := range slices.Sorted(maps.Keys(a)) {
		b = msgp.AppendString(b, k)
		b = msgp.AppendArrayHeader(b, 2)
		b = msgp.AppendString(b, a[k].Address)
		b = msgp.AppendInt(b, a[k].Port)
	}
	return b, nil
}

// UnmarshalMsg implements msgp.Unmarshaler.
func (a *Addresses) UnmarshalMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return b, err
	}
	*a = nil
	for range n {
		var k string
		var v Address
		if k, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
		var members uint32
		if members, b, err = msgp.ReadArrayHeaderBytes(b); err != nil {
			return b, err
		}
		if members != 2 {
			return b, msgp.ArrayError{Wanted: 2, Got: members}
		}
		if v.Address, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
		if v.Port, b, err = msgp.ReadIntBytes(b); err != nil {
			return b, err
		}
		if *a == nil {
			*a = Addresses{}
		}
		(*a)[k] = v
	}
	return b, nil
}

// Msgsize implements msgp.Sizer.
func (a Addresses) Msgsize() int {
	size := msgp.MapHeaderSize
	for k, v := range a {
		size += msgp.ArrayHeaderSize + 2*msgp.StringPrefixSize + len(k) + len(v.Address) + msgp.IntSize
	}
	return size
}
