package emulated

import "syscall"

// notAcknowledged is what the BCM283x controllers' driver returns for a NACK.
const notAcknowledged = syscall.EREMOTEIO
