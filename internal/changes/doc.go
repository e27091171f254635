// Package changes turns what is committed to the state into streams of rows
// that changed, for readers that follow a topic: all services, the keys below a
// prefix.
//
// It knows no noun and no transport: a [Topic] says how its rows come from the
// state. Rules that keep it right:
//
//   - One commit makes one batch of events, worked out and encoded once, however
//     many follow. What a reader costs grows with what changed, not with what
//     there is.
//   - Events are whole rows as they are at an index, never differences, so that
//     getting one twice does no harm.
//   - A reader has a place in the topic's log, not a queue. The logs are bounded;
//     one who falls behind their oldest event begins anew from the whole state.
//   - Applying the log never waits: a commit is put on a list and the rest is done
//     elsewhere. A list that grows too long makes everybody begin anew.
//   - Nobody follows, nothing is done.
package changes
