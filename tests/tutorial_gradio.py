"""A form over a rerank server, as tutorials of vLLM and Gradio write it: one request for each document."""

import gradio as gr
import requests

API_URL = "http://localhost:8000/v1/rerank"
MODEL = "Qwen3-Reranker-0.6B"


def score(query: str, document: str) -> float:
    """The relevance of one document."""
    payload = {"model": MODEL, "query": query, "documents": [document]}
    response = requests.post(API_URL, json=payload, timeout=60)
    response.raise_for_status()
    return float(response.json()["results"][0]["relevance_score"])


def rerank(query: str, documents: str) -> list[tuple[str, float]]:
    """Documents, one a line, best first."""
    lines = [line.strip() for line in documents.splitlines() if line.strip()]
    scored = [(line, score(query, line)) for line in lines]
    return sorted(scored, key=lambda row: row[1], reverse=True)


demo = gr.Interface(
    fn=rerank,
    inputs=[gr.Textbox(label="Query"), gr.Textbox(label="Documents, one a line", lines=10)],
    outputs=gr.Dataframe(headers=["Document", "Score"]),
)

if __name__ == "__main__":
    demo.launch()
