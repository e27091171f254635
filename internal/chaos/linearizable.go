package chaos

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// The promises, as they stand in a Violation.
const (
	PromiseLinearizable = "default and consistent operations are linearizable"
	PromiseRefused      = "a write reported as not applied is never seen"
	PromiseWritten      = "a read returns only what was written"
	PromiseOneIndex     = "one value has one modify index"
	PromiseSnapshot     = "an answer is the whole state at its index"
	PromiseMonotonic    = "a client never sees one run of a server go backwards"
	PromiseWake         = "a blocking query returns the changed value in time"
	PromiseRecover      = "the cluster serves again in time"
	PromiseAcknowledged = "an acknowledged write is never lost"
)

// register is the model of one key: a value that is put, compared and swapped,
// deleted and read. Its state is the value, "" when the key is absent.
//
// Comparing by value stands in for comparing by modify index: the harness never
// writes the same value twice, and PromiseOneIndex ties the two together.
func register() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			return step(state.(string), input.(Op))
		},
		DescribeOperation: func(input, _ any) string { return input.(Op).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%q", state) },
	}
}

func step(state string, op Op) (bool, string) {
	known := op.Outcome == Done
	switch op.Kind {
	case Put:
		return true, op.Value
	case CAS:
		matches := state == op.Expect
		if known && matches != op.Swapped {
			return false, state
		}
		if matches {
			return true, op.Value
		}
		return true, state
	case Delete:
		return true, ""
	default: // Get
		return state == op.Got.Value, state
	}
}

// byKey returns the linearizable operations of each key: writes that may have
// been applied, default and consistent reads, and lists as one read of each key.
func byKey(ops []Op, keys []string) map[string][]Op {
	out := make(map[string][]Op, len(keys))
	for _, op := range ops {
		switch {
		case op.Outcome == Refused, op.Mode == Stale:
		case op.Kind == List:
			for _, key := range keys {
				read := op
				read.Kind, read.Key, read.Got, read.Listed = Get, key, op.Listed[key], nil
				out[key] = append(out[key], read)
			}
		default:
			out[op.Key] = append(out[op.Key], op)
		}
	}
	return out
}

// CheckLinearizable checks the operations on each of the keys with porcupine. A
// key that cannot be decided within limit is a violation too: an unchecked
// history is not a good one. For each bad key draw, if not nil, is given a
// picture of the history in HTML.
func CheckLinearizable(ops []Op, keys []string, limit time.Duration, draw func(key string, html []byte)) []Violation {
	var bad []Violation
	model := register()
	histories := byKey(ops, keys)
	for _, key := range slices.Sorted(maps.Keys(histories)) {
		history := operations(histories[key])
		result, info := porcupine.CheckOperationsVerbose(model, history, limit)
		if result == porcupine.Ok {
			continue
		}
		detail := fmt.Sprintf("key %s: no order of its %d operations explains the answers", key, len(history))
		if result == porcupine.Unknown {
			detail = fmt.Sprintf("key %s: not decided within %v (%d operations)", key, limit, len(history))
		}
		bad = append(bad, Violation{PromiseLinearizable, detail})
		if draw != nil {
			var html strings.Builder
			if err := porcupine.Visualize(model, info, &html); err == nil {
				draw(key, []byte(html.String()))
			}
		}
	}
	return bad
}

// operations turns ops into porcupine's form. A write without a known outcome
// returns after everything else: it may take effect at any time after its call.
func operations(ops []Op) []porcupine.Operation {
	out := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		ret := int64(op.Return)
		if op.Outcome == Unknown {
			ret = math.MaxInt64
		}
		out[i] = porcupine.Operation{ClientId: op.Client, Input: op, Call: int64(op.Call), Return: ret}
	}
	return out
}
