# SPDX-License-Identifier: Apache-2.0
"""What formal/run.py runs: property tops, small constants, methods and bounds."""

# The package's constants in every run.
CONSTANTS = {
    "FlitWords": 2,
    "LinkWordBytes": 8,
    "SequenceBits": 3,
    "ReplayDepth": 4,
    "CreditBits": 3,
    "ControlSlots": 2,
    "LatencySlots": 2,
    "BulkSlots": 4,
    "RetryTimeout": 8,
}

TOPS = {
    "link_properties": {
        "rtl": [f"link/{name}.sv" for name in ("flit_packer", "replay_buffer", "link_tx", "flit_queue", "link_rx")],
        "stubs": ["stubs/crc32c.sv", "stubs/crc32c_zeros.sv", "wire_of_flits.sv"],
    },
    "flit_queue_properties": {"rtl": ["link/flit_queue.sv"], "stubs": []},
    "replay_buffer_properties": {"rtl": ["link/replay_buffer.sv"], "stubs": []},
}


def induction(steps):
    """Holds for any time: k-induction with its base."""
    return [("base", ["-t", str(steps)]), ("induction", ["-i", "-t", str(steps)])]


def bounded(steps):
    """Holds for so many cycles after reset."""
    return [("bmc", ["-t", str(steps)])]


def reached(steps):
    """Every cover is reached, so that nothing holds for lack of cases."""
    return [("cover", ["-c", "-t", str(steps)])]


# Properties of link_properties.sv: of words, which no induction carries, of flits, and the one that needs calm.
WORDS = ["p_in_order", "p_once", "p_drained"]
FLITS = ["p_flit_in_turn", "p_flit_drained", "p_acked_came", "p_window", "p_credit_bounded", "p_credit_conserved"]
CALM = ["p_goes_on"]

# Two numbers outstanding, one channel, no delay: what a bounded run can go through.
SHORT = {"SequenceBits": 2, "ReplayDepth": 2, "RetryTimeout": 4}
# Cycles within which something goes on in a calm link.
PATIENCE = 40

RUNS = {}
for mode, selective in (("go_back", 0), ("selective", 1)):
    RUNS[f"replay_buffer_{mode}"] = {
        "top": "replay_buffer_properties", "parameters": {"Selective": selective}, "quick": True,
        "method": "induction, k = 3", "steps": induction(3) + reached(24),
    }
    RUNS[f"replay_buffer_{mode}_16"] = {
        "top": "replay_buffer_properties", "parameters": {"Selective": selective}, "quick": False,
        "constants": {"FlitWords": 4, "SequenceBits": 5, "ReplayDepth": 16},
        "method": "induction, k = 3", "steps": induction(3),
    }
    RUNS[f"flits_{mode}"] = {
        "top": "link_properties", "quick": True, "without": WORDS + CALM, "shown": FLITS if selective else [p for p in FLITS if p != "p_flit_drained"],
        "parameters": {"Selective": selective, "Channels": 7, "Delay": 1, "Calm": 0, "Patience": 1},
        "method": "induction, k = 2", "steps": induction(2),
    }
    # The invariants that the next one begins with, with its constants.
    RUNS[f"flits_{mode}_short"] = RUNS[f"flits_{mode}"] | {
        "quick": False, "constants": SHORT,
        "parameters": {"Selective": selective, "Channels": 7, "Delay": 0, "Calm": 0, "Patience": 1},
    }
    # The base needs no run: the counter begins at 0 and grows by at most one a cycle.
    RUNS[f"goes_on_{mode}"] = {
        "top": "link_properties", "quick": not selective, "without": WORDS, "shown": CALM, "constants": SHORT,
        "parameters": {"Selective": selective, "Channels": 7, "Delay": 0, "Calm": 1, "Patience": PATIENCE},
        "method": f"induction, k = {PATIENCE + 1}", "steps": [("induction", ["-i", "-t", str(PATIENCE + 1)])],
    }
    RUNS[f"words_{mode}"] = {
        "top": "link_properties", "quick": False, "without": CALM, "shown": WORDS, "constants": SHORT,
        "parameters": {"Selective": selective, "Channels": 4, "Delay": 0, "Calm": 0, "Patience": 1},
        "method": "bounded, 26 cycles", "steps": bounded(26) + reached(30),
    }
for slots in (2, 4):
    RUNS[f"flit_queue_{slots}"] = {
        "top": "flit_queue_properties", "parameters": {"Slots": slots}, "quick": True,
        "method": "induction, k = 3", "steps": induction(3) + reached(24),
    }
