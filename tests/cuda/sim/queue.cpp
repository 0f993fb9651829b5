/*
 * The order in which streams work. CUSIM_LAZY=0: everything as soon as it may run. 1: only when somebody waits or asks, in random order. 2:
 * only when somebody waits or asks, and then the stream that is waited for runs ahead while the others do no more than it depends on. A
 * missing wait between two streams is thereby seen in every run instead of in an unlucky one.
 */
#include "queue.h"
#include "memory.h"

#include <algorithm>
#include <map>
#include <vector>

#include <time.h>

namespace cusim {

enum { PATIENCE = 200 }; /* how often the preferred stream is asked for nothing before others may work, CUSIM_LAZY=2 */

const long lazy = setting("CUSIM_LAZY", 0);
unsigned random_number();

static Stream default_stream;
static std::vector<Stream *> streams{&default_stream};
static std::map<cudaEvent_t, std::shared_ptr<Event>> events;
static uint64_t serials, event_handles;

Stream *find_stream(cudaStream_t handle) {
    if (handle == nullptr || handle == cudaStreamLegacy) return &default_stream;
    Stream *stream = reinterpret_cast<Stream *>(handle);
    if (std::find(streams.begin(), streams.end(), stream) != streams.end()) return stream;
    fault("%p is not a stream, or one that was destroyed", static_cast<void *>(handle));
    return nullptr;
}

Stream *stream_create(bool blocking, int priority) {
    Stream *stream = new Stream;
    stream->blocking = blocking;
    stream->priority = priority;
    streams.push_back(stream);
    return stream;
}

void stream_destroy(Stream *stream) {
    streams.erase(std::find(streams.begin(), streams.end(), stream));
    for (auto &entry : events)
        if (entry.second->stream == stream) entry.second->stream = nullptr;
    delete stream;
}

/* The stream whose older work must be done before the front of this one, because one of the two is the default stream. */
static Stream *held_up_by(const Stream *stream) {
    if (!stream->blocking) return nullptr;
    const uint64_t mine = stream->queue.front().serial;
    for (Stream *other : streams) {
        if (other == stream || !other->blocking || (stream != &default_stream && other != &default_stream)) continue;
        if (!other->queue.empty() && other->queue.front().serial < mine) return other;
    }
    return nullptr;
}

/* Does the front of the stream if it may be done. */
static bool step(Stream *stream) {
    if (stream->queue.empty() || held_up_by(stream) != nullptr) return false;
    Work &front = stream->queue.front();
    if (front.event != nullptr && front.event->reached < front.event_value) return false;
    device_open();
    if (front.ready && !front.ready()) return false;
    Work work = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (work.run) work.run();
    return true;
}

/* The same, or whatever it waits for. */
static bool advance(Stream *stream, size_t depth = 0) {
    if (step(stream)) return true;
    if (stream->queue.empty() || depth > streams.size()) return false;
    Stream *other = held_up_by(stream);
    const Work &front = stream->queue.front();
    if (other == nullptr && front.event != nullptr && front.event->reached < front.event_value) other = front.event->stream;
    return other != nullptr && other != stream && advance(other, depth + 1);
}

static bool step_any() {
    const size_t first = lazy != 0 ? random_number() % streams.size() : 0;
    for (size_t i = 0; i < streams.size(); i++)
        if (step(streams[(first + i) % streams.size()])) return true;
    return false;
}

static void run_all() {
    while (step_any()) {
    }
}

/* Whether some stream waits for another process, so that time alone may help. */
static bool waits_outside() {
    for (const Stream *stream : streams)
        if (!stream->queue.empty() && stream->queue.front().ready) return true;
    return false;
}

bool all_streams_idle() {
    for (const Stream *stream : streams)
        if (!stream->queue.empty()) return false;
    return true;
}

void progress(Stream *preferred) {
    static int fruitless;
    if (lazy == 0) {
        run_all();
    } else if (lazy == 1 || preferred == nullptr) {
        for (unsigned i = random_number() % 3; i > 0; i--) step_any();
    } else if (advance(preferred)) {
        fruitless = 0;
    } else if (++fruitless > PATIENCE) {
        step_any();
    }
}

void wait_for(const std::function<bool()> &done, Stream *preferred) {
    device_waited();
    int fruitless = 0;
    while (!done()) {
        bool moved = lazy == 2 && preferred != nullptr ? advance(preferred) : step_any();
        if (!moved && (!waits_outside() || ++fruitless > PATIENCE)) moved = step_any();
        if (moved) continue;
        if (!waits_outside()) fatal("streams wait for each other, or for an event that nothing will reach");
        yield_guard();
    }
}

static void push(Stream *stream, Work work) {
    work.serial = ++serials;
    stream->queue.push_back(std::move(work));
    if (lazy == 0) run_all();
}

void submit(cudaStream_t handle, std::function<void()> run) {
    Guard guard;
    Stream *stream = find_stream(handle);
    if (stream != nullptr) push(stream, {0, std::move(run), nullptr, nullptr, 0});
}

void submit_when(cudaStream_t handle, std::function<bool()> ready, std::function<void()> run) {
    Guard guard;
    Stream *stream = find_stream(handle);
    if (stream != nullptr) push(stream, {0, std::move(run), std::move(ready), nullptr, 0});
}

void wait_until(const std::function<bool()> &done, cudaStream_t handle) {
    wait_for(done, find_stream(handle));
}

void make_progress(cudaStream_t handle) {
    progress(find_stream(handle));
}

/* ---- events ---- */

cudaEvent_t event_create(bool timing) {
    std::shared_ptr<Event> event = std::make_shared<Event>();
    event->timing = timing;
    /* Handles are numbers, never used twice: a destroyed event is known as such. */
    const cudaEvent_t handle = reinterpret_cast<cudaEvent_t>(0xE0000000u + ++event_handles * 16);
    events[handle] = event;
    return handle;
}

std::shared_ptr<Event> find_event(cudaEvent_t handle) {
    auto it = events.find(handle);
    if (it != events.end()) return it->second;
    fault("%p is not an event, or one that was destroyed", static_cast<void *>(handle));
    return nullptr;
}

bool event_destroy(cudaEvent_t handle) {
    return events.erase(handle) != 0;
}

void event_record(const std::shared_ptr<Event> &event, Stream *stream) {
    const uint64_t value = ++event->recorded;
    event->stream = stream;
    push(stream, {0,
                  [event, value] {
                      timespec now;
                      clock_gettime(CLOCK_MONOTONIC, &now);
                      event->seconds = static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
                      event->reached = value;
                  },
                  nullptr, nullptr, 0});
}

void stream_wait_event(Stream *stream, const std::shared_ptr<Event> &event) {
    push(stream, {0, nullptr, nullptr, event, event->recorded});
}

} // namespace cusim
