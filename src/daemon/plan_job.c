/* plan_job.c - a plan is made beside the loop: trying some ten thousand devices may take most of a
 * second. Its JSON is made on the loop, where cJSON's memory belongs. */
#include <stdlib.h>

#include "daemon.h"

struct plan_job {
    struct daemon *daemon;
    uv_work_t work;
    struct plan_question question;
    struct plan_fleet fleet;
    struct deployment_plan plan;
    plan_job_fn *done;
    void *arg;
};

static void make(uv_work_t *work)
{
    struct plan_job *job = work->data;

    wish_plan(&job->question.params, &job->fleet, &job->plan);
}

static void on_made(uv_work_t *work, int status)
{
    struct plan_job *job = work->data;
    const struct plan_question *q = &job->question;
    cJSON *plan = status != 0
                      ? NULL
                      : wish_plan_json(&q->wish, &q->params, &q->defaults, &job->fleet, &job->plan);

    job->daemon->plan_job_count--;
    job->done(job->arg, plan);
    cJSON_Delete(plan);
    free(job);
}

void plan_job_run(struct daemon *daemon, const struct plan_question *question, plan_job_fn *done,
                  void *arg)
{
    struct plan_job *job = must(calloc(1, sizeof(*job)));

    job->question = *question;
    job->fleet = wish_fleet(&question->wish, &question->params, &question->defaults,
                            question->gateway_count, question->uplink_interval_s);
    job->daemon = daemon;
    job->done = done;
    daemon->plan_job_count++;
    job->arg = arg;
    job->work.data = job;
    uv_queue_work(&daemon->loop, &job->work, make, on_made);
}
