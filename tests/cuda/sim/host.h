/*
 * The host side of the simulator: what test programs may ask of it (C) and what the stand-ins for other libraries build on (C++).
 */
#ifndef CUSIM_HOST_H
#define CUSIM_HOST_H

#include <cuda_runtime_api.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
int cusim_errors(void); /* faults found so far in this process */
/* For tests that plant faults: forgets them, so that the process may end well. */
void cusim_forget_errors(void);
/* Simulated threads so far, and how often one was left for another. */
void cusim_counts(unsigned long long *threads, unsigned long long *switches);
/* For the file that CUSIM_TRAFFIC names (traffic.cpp): a line of text; a name for memory of the device that begins at a multiple of 64. */
void cusim_traffic_note(const char *text);
void cusim_traffic_area(const void *p, size_t bytes, const char *name);
void cusim_traffic_forget_areas(void);
#ifdef __cplusplus
}

#include <functional>

namespace cusim {

/* Held while the simulator's state is used; every entry point takes it once. */
class Guard {
  public:
    Guard();
    ~Guard();
    Guard(const Guard &) = delete;
    Guard &operator=(const Guard &) = delete;
};

/* Whole number of an environment variable. */
long setting(const char *name, long otherwise);

/* Counts and prints a fault of the program under test. The process will end with status 86. */
void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same where going on is impossible. */
[[noreturn]] void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether CUSIM_FAIL wants this call of the function to fail; *code is then the status it names, or otherwise. */
bool injected(const char *function, int otherwise, int *code);

/* Work for a stream, done when its turn comes. */
void submit(cudaStream_t stream, std::function<void()> run);
/*
 * The same for work that waits for other processes: it is its turn when ready() says so, which is asked again and again once everything
 * before it is done.
 */
void submit_when(cudaStream_t stream, std::function<bool()> ready, std::function<void()> run);
/* Lets streams work until done(). */
void wait_until(const std::function<bool()> &done, cudaStream_t stream);
/* Lets streams get on a little. */
void make_progress(cudaStream_t stream);

/* Whether [p, p + bytes) is inside one live allocation of the device. */
bool on_device(const void *p, size_t bytes);

} // namespace cusim

/* At the head of a stand-in's function: fail here if CUSIM_FAIL says so. */
#define CUSIM_INJECT(type, otherwise)                                                                                                      \
    do {                                                                                                                                   \
        int cusim_code;                                                                                                                    \
        if (cusim::injected(__func__, otherwise, &cusim_code)) return static_cast<type>(cusim_code);                                       \
    } while (0)
#endif
#endif
