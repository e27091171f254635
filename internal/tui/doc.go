// Package tui is the dashboard: one model that shows pages, takes keys and the
// mouse, and carries out what pages want done.
//
// What is watched is package source's affair, what a page shows package page's,
// how things look package ui's. Rules that keep it right: there is one model and
// one loop; Update does no input or output, all of that is in commands; a change
// of the data is one message, at most one outstanding, so that a terminal that
// does not read costs nothing but age; a frame is drawn only if something it
// shows has changed; losing the agent is shown, never an end; the terminal is
// given back as it was, whatever happens.
package tui
