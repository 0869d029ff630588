// SPDX-License-Identifier: Apache-2.0
// Included before everything in Verilator's runtime: what the RTL prints is kept for the error message.
#pragma once
int tandem_print(const char* format, ...) __attribute__((format(printf, 1, 2)));
