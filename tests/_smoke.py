import sys, time
from benchmarks import checkpoints, workloads
from benchmarks.contenders import Options
from benchmarks.process import Engine
from rerank_core.prompt import Prompter
def main():
    t=time.time(); folder,voc=checkpoints.tokenizer(); print(voc,time.time()-t)
    ck=checkpoints.DEMO_CHECKPOINT if len(sys.argv)<2 else checkpoints.random_checkpoint(); print(time.time()-t)
    if len(sys.argv)<2: folder=ck
    pr=Prompter(folder/"tokenizer.json",max_document_tokens=512)
    t=time.time(); ws=workloads.build(pr,mixed=(2,4),headlines=(2,4),long=(1,2)); print('build',time.time()-t)
    for w in ws: print(w.name,len(w.pairs),[len(pr.prompt(instruction=p.instruction,query=p.query,document=p.document).ids) for p in w.pairs])
    pairs=ws[1].pairs
    o=Options(ck,"float32" if len(sys.argv)<2 else "bfloat16",512,pr.max_prompt_tokens,2,8)
    print(o.max_prompt_tokens)
    for kind,calls in (("transformers",["one_by_one","forward"]),("sentence-transformers",["predict"]),("ours",["score","tokens","canary","count"]),("vllm",["score","classify"])):
        t=time.time()
        try:
            with Engine(kind,o,pairs[:1],calls[0]) as e:
                print(kind,e.started,time.time()-t)
                for c in calls:
                    r=e.run(c,pairs); print(kind,c,round(r.seconds,3),[round(x,4) for x in r.logits[:4]],r.prompt_tokens[:4],r.cached_tokens[:4],r.padding)
                print(e.memory())
        except Exception as ex: print(kind,ex)
if __name__=="__main__": main()
