/* plan_job.c - a plan is made beside the loop: trying some ten thousand devices may take most of a second. */
#include <stdlib.h>

#include "daemon.h"

struct plan_job {
    uv_work_t work;
    struct plan_question question;
    cJSON *plan;
    plan_job_fn *done;
    void *arg;
};

static void make(uv_work_t *work)
{
    struct plan_job *job = work->data;
    const struct plan_question *q = &job->question;

    job->plan =
        wish_plan(&q->wish, &q->params, &q->defaults, q->gateway_count, q->uplink_interval_s);
}

static void on_made(uv_work_t *work, int status)
{
    struct plan_job *job = work->data;

    job->done(job->arg, status == 0 ? job->plan : NULL);
    cJSON_Delete(job->plan);
    free(job);
}

void plan_job_run(struct daemon *daemon, const struct plan_question *question, plan_job_fn *done,
                  void *arg)
{
    struct plan_job *job = must(calloc(1, sizeof(*job)));

    job->question = *question;
    job->done = done;
    job->arg = arg;
    job->work.data = job;
    uv_queue_work(&daemon->loop, &job->work, make, on_made);
}
