/* A small libnvidia-ml.so.1 that misbehaves on request. $FAKE_NVML, words with commas between:
 *   two            two GPUs instead of one
 *   mig            the first GPU is cut into two slices
 *   nonsense       values that no device can have
 *   throttled      clocks held down by heat
 *   slow=MS        every call takes as long
 *   hang=FUNCTION  never returns
 *   crash=FUNCTION takes its process along
 *   fail=FUNCTION  not supported
 *   denied=FUNCTION no permission
 *   lost           the GPU has fallen off the bus; with lost=FILE, once that file exists
 *   pid=N          the process that holds 3 GiB of the device
 * Built with -DOLD it lacks functions that drivers before 535 lack.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GIB (1ULL << 30)
enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7, IS_LOST = 15 };
typedef unsigned long long u64;
typedef struct { unsigned version; u64 total, reserved, free, used; } Memory;
typedef struct { unsigned pid; u64 used; unsigned gi, ci; } Process;
typedef struct { unsigned gpu, memory; } Use;

/* 0 where the word is absent, else 1, with what stands behind "=" in value. */
static int word(const char *name, char *value) {
  char all[512];
  const char *set = getenv("FAKE_NVML");
  if (!set) return 0;
  snprintf(all, sizeof all, "%s", set);
  for (char *rest = NULL, *one = strtok_r(all, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
    char *equals = strchr(one, '=');
    if (equals) *equals++ = 0;
    if (strcmp(one, name) == 0) {
      if (value) strcpy(value, equals ? equals : "");
      return 1;
    }
  }
  return 0;
}

static int is(const char *name, const char *function) {
  char value[256];
  return word(name, value) && strcmp(value, function) == 0;
}

static int begin(const char *function) {
  char value[256];
  if (word("slow", value)) usleep(1000 * atoi(value));
  if (is("hang", function)) for (;;) pause();
  if (is("crash", function)) raise(SIGSEGV);
  if (is("fail", function)) return NOT_SUPPORTED;
  if (is("denied", function)) return NO_PERMISSION;
  return OK;
}
#define BEGIN int failed = begin(__func__); if (failed) return failed;

static int off_the_bus(void) {
  char file[256];
  return word("lost", file) && (!file[0] || access(file, F_OK) == 0);
}

/* Handles are 1 and 2 for GPUs, 11 and 12 for the slices of the first. */
#define DEVICE if (off_the_bus()) return IS_LOST;

int nvmlInitWithFlags(unsigned flags) { (void)flags; BEGIN return OK; }
const char *nvmlErrorString(int code) {
  return code == NOT_SUPPORTED ? "Not Supported" : code == NO_PERMISSION ? "Insufficient Permissions"
    : code == IS_LOST ? "GPU is lost" : code == NOT_FOUND ? "Not Found" : "Error";
}
int nvmlSystemGetDriverVersion(char *text, unsigned length) { BEGIN snprintf(text, length, "570.86.15"); return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { BEGIN *version = 13000; return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { BEGIN *count = word("two", NULL) ? 2 : 1; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { BEGIN DEVICE *device = (void *)(u64)(index + 1); return OK; }
int nvmlDeviceGetName(void *device, char *text, unsigned length) {
  BEGIN DEVICE snprintf(text, length, (u64)device > 10 ? "Fake H1 MIG 1g.10gb" : "Fake H1"); return OK;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned length) {
  BEGIN DEVICE snprintf(text, length, (u64)device > 10 ? "MIG-%llu" : "GPU-%llu", (u64)device); return OK;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, Memory *memory) {
  BEGIN DEVICE
  u64 total = (u64)device > 10 ? 10 * GIB : 80 * GIB, used = (3 + (u64)device) * GIB;
  if ((u64)device > 10) used = ((u64)device - 7) * GIB;
  if (word("nonsense", NULL)) { memory->total = 80 * GIB; memory->used = 900 * GIB; memory->reserved = ~0ULL; memory->free = ~0ULL; return OK; }
  memory->total = total; memory->used = used; memory->reserved = GIB / 2; memory->free = total - used - GIB / 2;
  return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, Process *processes) {
  BEGIN DEVICE
  char pid[32];
  unsigned n = (u64)device == 1 || (u64)device == 11;
  if (!n) { *count = 0; return OK; }
  if (*count < n) { *count = n; return TOO_SMALL; }
  *count = n;
  processes[0].pid = word("pid", pid) ? (unsigned)atoi(pid) : 4242;
  processes[0].used = word("nonsense", NULL) ? ~0ULL : 3 * GIB;
  return OK;
}
int nvmlDeviceGetUtilizationRates(void *device, Use *use) {
  BEGIN DEVICE use->gpu = word("nonsense", NULL) ? 4000000000u : 97; use->memory = 50; return OK;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) { BEGIN DEVICE *milliwatts = word("nonsense", NULL) ? ~0u : 431500; return OK; }
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *milliwatts) { BEGIN DEVICE *milliwatts = 700000; return OK; }
#ifndef OLD
int nvmlDeviceGetCurrentClocksEventReasons(void *device, u64 *reasons) { BEGIN DEVICE *reasons = word("throttled", NULL) ? 0x41 : 0x1; return OK; }
int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, u64 *count) { (void)type; (void)counter; BEGIN DEVICE *count = 0; return OK; }
int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *pending) {
  BEGIN DEVICE *now = *pending = word("mig", NULL) && (u64)device == 1; return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) { BEGIN DEVICE *count = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **slice) {
  BEGIN DEVICE if (index > 1) return NOT_FOUND; *slice = (void *)(u64)(11 + index); return OK;
}
#endif
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, u64 *reasons) { BEGIN DEVICE *reasons = word("throttled", NULL) ? 0x44 : 0x1; return OK; }
int nvmlShutdown(void) { return OK; }
