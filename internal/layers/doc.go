// Package layers holds the rules about who may import whom, and the tests that
// enforce them and a few habits that a compiler does not see.
//
// It has no code of the product. layers.txt says which package stands on which
// floor and what it may import; homes.txt gives each foreign library its home;
// sleeps.txt lists the tests that may wait on real time. A change that needs
// another line there is a decision: the line is reviewed with the change.
package layers
