"""The demonstration: the real pipeline, Airflow, Postgres and vLLM on one machine, for one sitting.

`make demo` and `make ui` run it (`python -m rerank_core.demo`).

    __main__.py   the story: what is done, in order
    show.py       what is printed
    evaluate.py   how good the ranking is, on the sample's own judgements
    sitting.py    the databases, the store, the settings and Airflow of one sitting
    airflow.py    a private Airflow, driven by its command and REST API
    airflow_environment.py   its settings, keys and passwords
    postgres.py   an embedded Postgres
    servers.py    a server that cannot outlive its owner
    sample/       invented news, topics and judgements
    checkpoint/   a small constructed checkpoint, for demonstration only
"""
