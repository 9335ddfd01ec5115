QUESTION = "How much consistency does labelling in parallel cost a labeller that reads, and which phase gives how much back?"
def tell(results, into): print(results)
