"""Python runs this in every process that a test starts: the network guard, first of all."""

import network_guard

network_guard.install()
