// Package watchbench watches real agents with the dashboard's source: its tests
// say that every section holds what the cluster has, by the change stream and
// by blocking queries, and [Run] measures how long a change takes to be seen.
//
// It starts processes and knows the program only from outside.
package watchbench
