// SPDX-License-Identifier: Apache-2.0
// Answers `cpuid` as a CPU of the same kind would that has no AVX-512, AVX-VNNI or AMX.
//
// Loaded before everything else (LD_PRELOAD). Patched libraries (libraries.py) hold an invalid
// instruction of two bytes in place of `cpuid`; it ends up here as SIGILL. CPUID faulting would do without
// patches, but kernels of virtual machines seldom offer it.
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <ucontext.h>

enum { IN_PLACE_OF_CPUID = 0xce };  // INTO, which 64-bit code does not have; `ud2` is what compilers trap by

// Intel's manual, volume 2A, CPUID: the registers of leaf 7, subleaf 0 and subleaf 1.
static const unsigned EBX = 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31;
static const unsigned ECX = 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14;
static const unsigned EDX = 1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;
static const unsigned MORE_EAX = 1u << 4 | 1u << 5 | 1u << 21;  // AVX-VNNI, AVX512-BF16, AMX-FP16
static const unsigned MORE_EDX = 1u << 4 | 1u << 5 | 1u << 8 | 1u << 10 | 1u << 19;  // AVX-VNNI-INT8, AVX10 ...

static void answer(int number, siginfo_t *unused, void *context) {
  (void)unused;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)registers[REG_RIP];
  if (code[0] != IN_PLACE_OF_CPUID || code[1] != IN_PLACE_OF_CPUID) {
    signal(number, SIG_DFL);  // somebody's own trap: it comes again, and ends the process
    return;
  }
  unsigned leaf = (unsigned)registers[REG_RAX], sub = (unsigned)registers[REG_RCX], a, b, c, d;
  __cpuid_count(leaf, sub, a, b, c, d);
  if (leaf == 7 && sub == 0) {
    b &= ~EBX;
    c &= ~ECX;
    d &= ~EDX;
  }
  if (leaf == 7 && sub == 1) {
    a &= ~MORE_EAX;
    d &= ~MORE_EDX;
  }
  registers[REG_RAX] = a;
  registers[REG_RBX] = b;
  registers[REG_RCX] = c;
  registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void install(void) {
  struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGILL, &action, 0);
}
