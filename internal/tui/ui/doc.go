// Package ui holds the widgets of the dashboard and its looks: a table and a
// tree whose selection is bound to objects, a log, sparklines, dialogs, a line
// of input, the key map and the theme.
//
// Widgets are plain values with methods. They know no data of the cluster, own
// no goroutine, do no input or output, and are not safe for concurrent use: the
// one model of the dashboard calls them. Rules that keep it right: a widget
// draws only what is visible, every line it returns is as wide as asked or
// narrower, in cells; state is never told by colour alone, a glyph and a word
// stand beside it; a selection belongs to an object by its id and never moves to
// another because the data, the order or the filter changed; text from outside
// passes Clean before it is drawn, so that a name cannot command the terminal.
package ui
