#include "parallel.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace mie {
namespace {

using Body = std::function<void(int64_t, int64_t)>;

// One call of parallel_for. All fields are guarded by the pool's mutex; pieces are large enough for that to cost nothing.
struct Job {
    const Body* body;
    int64_t count, span;
    int64_t next = 0;
    int working = 0;  // pool threads inside this job
    std::exception_ptr error;
};

class Pool {
  public:
    void run(Job& job, int others) {
        std::unique_lock<std::mutex> lock(mutex_);
        while (workers_ < others) {
            std::thread([this] { serve(); }).detach();
            ++workers_;
        }
        for (int i = 0; i < others; ++i) waiting_.push_back(&job);
        wake_.notify_all();
        work(job, lock);
        waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), &job), waiting_.end());
        done_.wait(lock, [&] { return job.working == 0; });
        if (job.error) std::rethrow_exception(job.error);
    }

  private:
    void serve() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return !waiting_.empty(); });
            Job& job = *waiting_.front();
            waiting_.pop_front();
            ++job.working;
            work(job, lock);
            if (--job.working == 0) done_.notify_all();
        }
    }

    static void work(Job& job, std::unique_lock<std::mutex>& lock) {
        while (job.next < job.count) {
            const int64_t first = job.next, last = std::min(first + job.span, job.count);
            job.next = last;
            lock.unlock();
            std::exception_ptr error;
            try {
                (*job.body)(first, last);
            } catch (...) {
                error = std::current_exception();
            }
            lock.lock();
            if (!error) continue;
            if (!job.error) job.error = error;
            job.next = job.count;
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::deque<Job*> waiting_;  // one entry for every thread a job still asks for
    int workers_ = 0;
};

// Never destroyed: its threads may outlive static destructors. A forked child has none of them, so it starts with a new pool.
Pool* g_pool = nullptr;

Pool& pool() {
    static std::once_flag once;
    std::call_once(once, [] {
        g_pool = new Pool;
#if defined(__unix__) || defined(__APPLE__)
        pthread_atfork(nullptr, nullptr, [] { g_pool = new Pool; });
#endif
    });
    return *g_pool;
}

}  // namespace

void parallel_for(int64_t count, int64_t span, int threads, const Body& body) {
    if (count <= 0) return;
    span = std::max<int64_t>(span, 1);
    const int64_t pieces = (count + span - 1) / span;
    const int others = int(std::min<int64_t>(threads, pieces)) - 1;
    if (others <= 0) {
        body(0, count);
        return;
    }
    Job job{&body, count, span, 0, 0, nullptr};
    pool().run(job, others);
}

}  // namespace mie
