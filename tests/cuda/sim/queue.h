/* Streams and events: who may run next, and who is let run. */
#ifndef CUSIM_QUEUE_H
#define CUSIM_QUEUE_H

#include "host.h"

#include <deque>
#include <memory>

#include <stdint.h>

namespace cusim {

struct Stream;

struct Event {
    bool timing = true;
    uint64_t recorded = 0; /* calls of cudaEventRecord */
    uint64_t reached = 0;  /* the last of them that its stream has come to */
    double seconds = 0;    /* when */
    Stream *stream = nullptr;
};

struct Work {
    uint64_t serial; /* in order of submission, over all streams */
    std::function<void()> run;
    /* what must be so first; empty for nothing */
    std::function<bool()> ready;
    std::shared_ptr<Event> event;
    uint64_t event_value;
};

struct Stream {
    std::deque<Work> queue;
    bool blocking = true; /* waits for the default stream, and it for this one */
    int priority = 0;
};

extern const long lazy;

/* The stream behind a handle, or NULL (and a fault) when it has been destroyed or never was. */
Stream *find_stream(cudaStream_t handle);
Stream *stream_create(bool blocking, int priority);
void stream_destroy(Stream *stream);

/* An event behind a handle; empty when there is none. */
std::shared_ptr<Event> find_event(cudaEvent_t handle);
cudaEvent_t event_create(bool timing);
bool event_destroy(cudaEvent_t handle);
void event_record(const std::shared_ptr<Event> &event, Stream *stream);
void stream_wait_event(Stream *stream, const std::shared_ptr<Event> &event);

bool all_streams_idle();
void wait_for(const std::function<bool()> &done, Stream *preferred);
void progress(Stream *preferred);
void yield_guard();

} // namespace cusim

#endif
