"""What somebody who takes part can do to the others: a curious BS, a malicious UE."""
