// Package slot edits what a gateway's image boots: the two root slots of a gokrazy disk,
// and the two boot files that choose between them. It knows nothing of releases.
//
// A disk has a boot partition (1), two roots (2 and 3) and /perm (4). The machine boots
// the root that its boot file names; on a Raspberry Pi that file is cmdline.txt, where
// the firmware is EFI it is loader/entries/gokrazy.conf. A trial is armed by a word in
// cmdline.txt: the init of the root that is booted then takes it away, and hands over to
// the other slot. Without a further word the next start is in the old root again.
//
// Every edit is one sector written in place, of the length that the file had: a power
// cut leaves the old file or the new one. The file system around it is only read (FAT16,
// Microsoft's "FAT: General Overview of On-Disk Format", version 1.03).
//
// The word goes into cmdline.txt alone, since init looks for it nowhere else; the way of
// gokrazy's own /update/testboot, which writes it into both files, shifts the lines of
// gokrazy.conf when init takes it away.
package slot
