/* Loaded before libc: the wall clock that a server sees, moved by what HOLDFAST_CLOCK_FILE holds (int64, us). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__((constructor)) static void open_offset(void) {
  const char *name = getenv("HOLDFAST_CLOCK_FILE");
  int file = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *memory = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (memory != MAP_FAILED) offset = memory;
}

static int64_t moved_us(void) {
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + (offset == NULL ? 0 : *offset);
}

int gettimeofday(struct timeval *restrict value, void *restrict zone) {
  (void)zone;
  int64_t us = moved_us();
  value->tv_sec = us / 1000000;
  value->tv_usec = us % 1000000;
  return 0;
}

int clock_gettime(clockid_t clock, struct timespec *value) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return (int)syscall(SYS_clock_gettime, clock, value);
  int64_t us = moved_us();
  value->tv_sec = us / 1000000;
  value->tv_nsec = us % 1000000 * 1000;
  return 0;
}

time_t time(time_t *value) {
  time_t seconds = moved_us() / 1000000;
  if (value != NULL) *value = seconds;
  return seconds;
}
