// SPDX-License-Identifier: Apache-2.0
// Hooks of Verilator's runtime: a failed invariant becomes an exception that carries the RTL's own message.
#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "tandem_print.h"
#include "verilated.h"

namespace {
thread_local std::string printed;
}

int tandem_print(const char* format, ...) {
  char text[2048];
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  printed += text;
  return length;
}

[[noreturn]] static void raise(const char* filename, int line, const char* hier) {
  std::string message = std::move(printed);
  printed.clear();
  if (message.empty()) message = std::string("stopped at ") + filename + ":" + std::to_string(line) + " " + hier;
  throw std::runtime_error(message);
}

void vl_stop(const char* filename, int linenum, const char* hier) VL_MT_UNSAFE { raise(filename, linenum, hier); }

void vl_fatal(const char* filename, int linenum, const char* hier, const char* msg) VL_MT_UNSAFE {
  if (msg != nullptr) printed += msg;
  raise(filename, linenum, hier);
}
