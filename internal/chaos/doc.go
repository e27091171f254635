// Package chaos runs three real ctl servers, breaks them on purpose while
// clients read and write, and checks everything the clients saw against what
// ctl promises.
//
// It is for whole programs: processes, sockets, disks. Rules that need no
// process are tested where they live, under fake time.
//
// What it checks, for each round of one fault:
//
//   - default and consistent operations are linearizable, key by key
//     (porcupine; a write without a known outcome may take effect at any later
//     time, a write reported as not applied never does);
//   - a stale read shows a state that once was: only values that had been
//     written, one index for one value, a whole snapshot in a list, and never
//     an older state than the same client saw from the same run of a server;
//   - blocking queries return a changed value within WakeBound, and their index
//     does not go backwards;
//   - the cluster serves writes through every server within RecoverBound of the
//     end of the fault;
//   - every acknowledged write is there when the round ends, and again when the
//     run ends.
//
// Rules that keep it right: all randomness comes from one seed, which is
// printed with the command that repeats the run (the faults repeat; the
// interleaving cannot); an error of the harness is never counted as a pass;
// package plant has faults for the product that a run must find.
package chaos
